"""Decoders that need no fit, and a recording that they are compared on."""

import numpy as np
import pytest
import xarray as xr

from onehotglm.networks import HomogeneousPoisson

N_NEURONS, BIN_SIZE = 3, 0.1


class Copycat(HomogeneousPoisson):
    """Predicts a part of the rate that neuron 0 had in the bin before, for all neurons."""

    def __init__(self, part: float = 0.5):
        self.part = part

    def fit(self, spikes):
        super().fit(spikes)
        self.connectivity_ = self.connectivity_.copy()
        self.connectivity_[:, 0] = self.part / BIN_SIZE
        return self

    def predict_rates(self, spikes):
        rates = super().predict_rates(spikes)
        before = spikes.shift(time=1, fill_value=0).isel(neuron=0, drop=True)
        before = before.sel(time=rates["time"])
        return (1 - self.part) * rates + self.part * before / BIN_SIZE + 1e-3

    @property
    def readings_(self):
        return super().readings_ | {"couplings": 2 * self.connectivity_}


class Broken(HomogeneousPoisson):
    """Fails in the way that it is told."""

    def __init__(self, error: BaseException | None = None):
        self.error = error

    def fit(self, spikes):
        raise self.error


@pytest.fixture(scope="session")
def simulation() -> xr.Dataset:
    """Neuron 0 drives the others, which are silent without it; one long and one short session."""
    rng = np.random.default_rng(0)
    counts = np.zeros((2, 600, N_NEURONS))
    counts[..., 0] = rng.poisson(0.4, counts.shape[:2])
    counts[:, 1:, 1:] = rng.poisson(0.1 + 0.5 * counts[:, :-1, :1], (2, 599, 2))
    counts[1, 250:] = np.nan
    coords = {
        "session": [0, 1],
        "time": BIN_SIZE * np.arange(600),
        "neuron": np.arange(N_NEURONS),
    }
    spikes = xr.DataArray(
        counts, coords, ("session", "time", "neuron"), attrs={"bin_size": BIN_SIZE}
    )
    wiring = np.zeros((N_NEURONS, N_NEURONS))
    wiring[1:, 0] = 1.0
    return xr.Dataset({"spikes": spikes, "connectivity": (("post", "pre"), wiring)})
