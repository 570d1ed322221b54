"""The result folder of a comparison."""

import pytest

from onehotglm.comparison import compare, readable_table, write_comparison
from onehotglm.errors import DataFileError
from onehotglm.networks import HomogeneousPoisson
from tests.comparison.conftest import Broken, Copycat

OPTIONS = {"block_length": 5.0, "progress": False}


@pytest.fixture(scope="module")
def comparison(simulation):
    decoders = {
        "constant": HomogeneousPoisson(),
        "copycat": Copycat(),
        "broken": Broken(ValueError("singular matrix")),
    }
    return compare(simulation, decoders, **OPTIONS)


def test_the_page_shows_everything(comparison, simulation, tmp_path) -> None:
    page = write_comparison(
        tmp_path, "Rat A", comparison, spikes=simulation["spikes"], facts={"Recording": "a.nwb"}
    )
    text = page.read_text()
    for words in (
        *("Rat A", "a.nwb", "Prediction of held-out blocks", "more than constant"),
        *("Connectivities", "Against the true wiring", "copycat, couplings"),
        "broken is missing: ValueError: singular matrix",
    ):
        assert words in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    names = {path.name for path in tmp_path.iterdir()}
    figures = ("prediction", "differences", "connectivities", "correlations", "wiring")
    assert names == {
        *(f"{name}.png" for name in figures),
        *("report.html", "table.csv", "comparison.nc"),
    }


def test_the_page_of_one_decoder_leaves_out_what_it_has_not(simulation, tmp_path) -> None:
    found = compare(simulation["spikes"], {"constant": HomogeneousPoisson()}, **OPTIONS)
    text = write_comparison(tmp_path, "Alone", found).read_text()
    assert "Connectivities" not in text
    assert "wiring" not in text
    assert not (tmp_path / "differences.png").exists()


def test_intervals_in_words(comparison) -> None:
    table = readable_table(comparison)
    assert table.columns.tolist() == [
        *("decoder", "bits per spike", "95 % interval", "more than constant"),
        *("training", "fit (s)", "parameters"),
    ]
    constant, copycat = table["95 % interval"].str.replace("\N{NO-BREAK SPACE}", " ")
    assert constant == "0.000 to 0.000"
    low, high = comparison.table.loc[1, ["low", "high"]].astype(float)
    assert copycat.replace("\N{MINUS SIGN}", "-") == f"{low:.3f} to {high:.3f}"
    names = ["difference", "difference_low", "difference_high"]
    more, low, high = comparison.table.loc[1, names].astype(float)
    none, found = table["more than constant"].str.replace("\N{NO-BREAK SPACE}", " ")
    assert none == "\N{EN DASH}"
    assert found == f"{more:.3f} ({low:.3f} to {high:.3f})"


def test_a_folder_that_is_none_is_an_error(comparison, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFileError, match="cannot write into the folder"):
        write_comparison(tmp_path / "file", "No", comparison)
