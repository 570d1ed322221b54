"""AstroSNN and BDH as decoders keep the promises that the recurrent network keeps."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn import AstroDecoder
from onehotglm.networks.bdh import BDHDecoder
from onehotglm.networks.bdh.decoder import SpikeBDH
from onehotglm.networks.bdh.model import make_core
from onehotglm.networks.spike_predictor import random_projections

TRAINING = {"n_lags": 2, "window": 60, "batch_size": 16, "patience": 5}
SMALL = {
    "astrosnn": AstroDecoder(12, n_hidden=24, **TRAINING),
    "bdh": BDHDecoder(8, n_hidden=32, n_heads=2, n_levels=2, max_sessions=3, **TRAINING),
}
# (post, pre), in log rate per spike one bin ago.
COUPLINGS = np.array(
    [[0.0, 1.4, 0.0, 0.0], [0.0, 0.0, -1.4, 0.0], [0.0, 0.0, 0.0, 1.4], [0.0, 0.0, 0.0, 0.0]]
)


@pytest.fixture(scope="module")
def spikes():
    rng = np.random.default_rng(0)
    counts = np.zeros((20, 200, 4))
    for t in range(1, 200):
        counts[:, t] = rng.poisson(np.minimum(0.3 * np.exp(counts[:, t - 1] @ COUPLINGS.T), 3))
    return xr.DataArray(
        counts,
        dims=("session", "time", "neuron"),
        coords={"time": 0.02 * np.arange(200), "neuron": np.arange(4)},
        attrs={"bin_size": 0.02},
    )


@pytest.fixture(scope="module", params=sorted(SMALL))
def decoder(request, spikes):
    return clone(SMALL[request.param]).set_params(n_steps=600).fit(spikes[:16])


@pytest.mark.slow
def test_couplings_are_learned(decoder, spikes):
    assert decoder.score(spikes[16:]) > 0.05
    found = decoder.connectivity_
    coupled = COUPLINGS != 0
    assert (np.sign(found.values[coupled]) == np.sign(COUPLINGS[coupled])).all()
    assert np.abs(found.values[coupled]).min() > np.abs(found.values[~coupled]).mean()
    assert decoder.n_parameters_ > 100


@pytest.mark.slow
def test_rates_depend_on_the_past_only(decoder, spikes):
    changed = spikes[:1].copy(deep=True)
    changed[0, 120:] += 3
    before = decoder.predict_rates(spikes[:1]).values[0]
    after = decoder.predict_rates(changed).values[0]
    np.testing.assert_array_equal(before[:121], after[:121])
    assert not np.allclose(before[121:], after[121:])


@pytest.mark.slow
def test_missing_and_lead_in_bins(decoder, spikes):
    gaps = spikes[:2].copy(deep=True)
    gaps[0, 150:] = np.nan
    shorter = decoder.predict_rates(gaps).values[0, :150]
    np.testing.assert_array_equal(shorter, decoder.predict_rates(spikes[:2]).values[0, :150])
    late = spikes[:2].assign_coords(time=spikes["time"] - 0.1)
    assert (decoder.predict_rates(late)["time"] >= 0).all()
    again = pickle.loads(pickle.dumps(decoder))
    assert again.score(spikes[16:]) == pytest.approx(decoder.score(spikes[16:]))


ASTRO_OPTIONS = [
    {"astrocyte": False},
    {"threshold_coupling": False},
    {"reset": True},
    {"surrogate": "fast-sigmoid"},
    {"n_hidden": 6},
]
BDH_OPTIONS = [{"n_hidden": 16}, {"n_heads": 1}, {"n_levels": 1}, {"window": 30}]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"), [("astrosnn", ASTRO_OPTIONS), ("bdh", BDH_OPTIONS)], ids=str
)
def test_each_option_changes_the_fit(spikes, name, options):
    plain = clone(SMALL[name]).set_params(n_steps=4, n_lags=1)
    rates = plain.fit(spikes[:4]).predict_rates(spikes[:1])
    for option in options:
        other = clone(plain).set_params(**option).fit(spikes[:4])
        assert not np.allclose(rates, other.predict_rates(spikes[:1]), rtol=1e-6), option


@pytest.mark.slow
def test_bdh_reads_long_sessions_in_windows(float64):
    rng = np.random.default_rng(0)
    fields = random_projections(rng, 4, np.full(3, 0.2), np.ones(3), "softplus")
    network = SpikeBDH(**fields, core=make_core(4, 12, 1, 2, rng), memory=10)
    network = jax.tree.map(lambda w: jnp.asarray(10 * w, float), network)
    counts = jnp.asarray(rng.poisson(0.5, size=(33, 1, 3)), float)
    whole = network.hidden(counts)
    for t in (4, 9, 10, 14, 15, 32):
        start = max(0, 5 * ((t - 10) // 5 + 1)) if t >= 10 else 0
        part = network.hidden(counts[start : start + 10])
        np.testing.assert_allclose(whole[t], part[t - start], atol=1e-10)


def test_bdh_cannot_look_further_than_it_reads(spikes):
    with pytest.raises(InvalidInputError, match="n_lags=31 with window=60"):
        clone(SMALL["bdh"]).set_params(n_lags=31).fit(spikes)
    with pytest.raises(InvalidInputError, match="max_sessions=0, but it must be at least 1"):
        clone(SMALL["bdh"]).set_params(max_sessions=0).fit(spikes)
