"""What is saved comes back; what cannot be read says why and what to do."""

import h5py
import numpy as np
import pytest
import xarray as xr

from onehotglm import __version__
from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.checkpoint import load_dataset, save_dataset


@pytest.fixture
def dataset() -> xr.Dataset:
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "weights": (("state", "post", "pre"), rng.normal(size=(2, 3, 3)).astype(np.float32)),
            "states": (("session", "time"), rng.integers(-1, 2, (2, 5))),
            "spikes": (("session", "time"), [[0, 1, np.nan, 2, 0], [1, 1, 1, np.nan, np.nan]]),
            "kept": ("post", [True, False, True]),
        },
        coords={"post": ["a7", "b", "c"], "time": np.arange(5) * 0.02, "type": ["no", "yes"]},
        attrs={
            "bin_size": 0.02,
            "n_init": np.int64(3),
            "link": "softplus",
            "ridge": None,
            "share_bias": True,
            "options": {"tol": 1e-6, "steps": [1, 2]},
            "window": (-5.0, 10.0),
            "text": "json:looks like ours",
            "empty": "",
        },
    )


def test_round_trip_keeps_values_types_and_attributes(dataset, tmp_path):
    dataset["weights"].attrs["shrunk"] = False
    path = save_dataset(dataset, tmp_path / "fit.nc", kind="fit")
    back = load_dataset(path, kind="fit")
    expected = dataset.assign_attrs(window=[-5.0, 10.0])
    xr.testing.assert_identical(back, expected)
    assert back.attrs["share_bias"] is True
    assert back.attrs["ridge"] is None
    assert all(back[name].dtype == dataset[name].dtype for name in ("weights", "states", "kept"))


def test_saving_leaves_the_dataset_alone(dataset, tmp_path):
    before = dataset.copy(deep=True)
    save_dataset(dataset, tmp_path / "fit.nc", kind="fit")
    xr.testing.assert_identical(dataset, before)


def test_plain_xarray_opens_the_file(dataset, tmp_path):
    path = save_dataset(dataset, tmp_path / "fit.nc", kind="fit")
    plain = xr.load_dataset(path, engine="h5netcdf")
    np.testing.assert_array_equal(plain["weights"], dataset["weights"])
    assert plain.attrs["onehotglm_version"] == __version__


def test_other_kind_is_refused(dataset, tmp_path):
    path = save_dataset(dataset, tmp_path / "s.nc", kind="simulation")
    assert load_dataset(path) is not None
    with pytest.raises(DataFileError, match="holds a simulation, expected a fit"):
        load_dataset(path, kind="fit")


def test_other_format_names_both_versions(dataset, tmp_path):
    path = save_dataset(dataset, tmp_path / "fit.nc", kind="fit")
    with h5py.File(path, "r+") as file:
        file.attrs["onehotglm_format"] = 99
        file.attrs["onehotglm_version"] = "7.1.0"
    with pytest.raises(DataFileError, match=rf"format 99.*7\.1\.0.*{__version__}.*format 1"):
        load_dataset(path)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_is_called_damaged(dataset, tmp_path, fraction):
    path = save_dataset(dataset, tmp_path / "fit.nc", kind="fit")
    path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])
    with pytest.raises(DataFileError, match=r"damaged or is no netCDF file.*copy it again"):
        load_dataset(path)


def test_foreign_files_are_told_apart(tmp_path):
    foreign = tmp_path / "theirs.nc"
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(foreign, engine="h5netcdf")
    with pytest.raises(DataFileError, match="was not written by onehotglm"):
        load_dataset(foreign)
    with pytest.raises(DataFileError, match="does not exist"):
        load_dataset(tmp_path / "none.nc")


def test_unwritable_target_is_named(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFileError, match="cannot write into the folder"):
        save_dataset(dataset, tmp_path / "file" / "fit.nc", kind="fit")


def test_attribute_that_no_file_holds_is_named(dataset, tmp_path):
    dataset.attrs["callback"] = print
    with pytest.raises(InvalidInputError, match="'callback' is a builtin_function"):
        save_dataset(dataset, tmp_path / "fit.nc", kind="fit")
    assert not list(tmp_path.iterdir())
