import numpy as np
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.plots import plot_text_strength


def strength_over(text, values=None):
    codes = np.frombuffer(text.encode(), np.uint8)
    values = np.linspace(-1, 1, len(codes)) if values is None else values
    return xr.DataArray(values, dims="token", coords={"code": ("token", codes)}, name="strength")


def test_letters_stand_on_their_colour_in_lines():
    ax = plot_text_strength(strength_over("To be, or not"), width=5)
    assert "".join(text.get_text() for text in ax.texts) == "To be, or not"
    assert [text.get_position() for text in ax.texts][:6] == [*((i, 0) for i in range(5)), (0, 1)]
    grid = ax.images[0].get_array()
    assert grid.shape == (3, 5)
    assert grid[0, 0] == -1
    assert grid[2, 2] == 1
    assert np.ma.getmaskarray(grid)[2, 3:].all()


def test_limit_sets_the_colours():
    ax = plot_text_strength(strength_over("ab"), limit=4.0, label="t", title="One")
    assert ax.images[0].get_clim() == (-4.0, 4.0)
    assert ax.get_title(loc="left") == "One"
    assert ax.figure.axes[1].get_ylabel() == "t"
    assert plot_text_strength(strength_over("ab")).images[0].get_clim() == (-1.0, 1.0)


def test_bytes_without_a_letter_are_shown_as_signs():
    ax = plot_text_strength(strength_over("ü\n\x01"))
    assert [text.get_text() for text in ax.texts] == ["", "ü", "⏎", "·"]


def test_one_row_with_codes_is_needed():
    for wrong in (
        strength_over("ab").drop_vars("code"),
        strength_over("ab").expand_dims("synapse"),
    ):
        with pytest.raises(InvalidInputError, match=r"expected \('token',\) with the coordinate"):
            plot_text_strength(wrong)
    with pytest.raises(InvalidInputError, match="width=0"):
        plot_text_strength(strength_over("ab"), width=0)
