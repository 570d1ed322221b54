"""AstroSNN and BDH as decoders keep the promises that the recurrent network keeps."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

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


# What all network decoders have in common is tried with one of them: every fit compiles.
COMMON_OPTIONS = [
    {"link": "exp"},
    {"learning_rate": 0.1},
    {"weight_decay": 1.0},
    {"window": 30},
    {"batch_size": 8},
    {"n_steps": 3},
    {"random_state": 1},
]
ASTRO_OPTIONS = [
    {"astrocyte": False},
    {"threshold_coupling": False},
    {"reset": True},
    {"surrogate": "fast-sigmoid"},
    {"n_hidden": 6},
    {"n_blocks": 2},
    {"n_features": 6},
]
BDH_OPTIONS = [{"n_features": 6}, {"n_hidden": 16}, {"n_heads": 1}, {"n_levels": 1}]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [("astrosnn", ASTRO_OPTIONS), ("bdh", BDH_OPTIONS + COMMON_OPTIONS)],
    ids=["astrosnn", "bdh"],
)
def test_each_option_changes_the_fit(spikes, name, options):
    plain = clone(SMALL[name]).set_params(n_steps=4, n_lags=1)
    rates = plain.fit(spikes[:4]).predict_rates(spikes[:1])
    for option in options:
        other = clone(plain).set_params(**option).fit(spikes[:4])
        assert not np.allclose(rates, other.predict_rates(spikes[:1]), rtol=1e-6), option


@pytest.mark.slow
def test_options_of_stopping_and_of_the_connectivity_change_it(spikes):
    plain = clone(SMALL["bdh"]).set_params(n_heads=1, n_levels=1, n_lags=1, n_steps=300)
    plain.set_params(learning_rate=0.3, patience=1, max_sessions=1).fit(spikes[:4])
    assert plain.stop_reason_ == "held-out score"
    other = clone(plain).set_params(patience=3, n_lags=2, max_sessions=3).fit(spikes[:4])
    assert other.n_steps_ > plain.n_steps_
    assert other.connectivity_by_lag_.sizes["lag"] == 2
    assert np.isnan(plain.connectivity_error_).all()
    assert np.isfinite(other.connectivity_error_).all()
    held_out = clone(plain).set_params(validation_fraction=0.5).fit(spikes[:4])
    assert held_out.validation_path_[0] != plain.validation_path_[0]


@pytest.mark.slow
def test_one_session(spikes):
    fitted = clone(SMALL["bdh"]).set_params(n_steps=4, n_levels=1).fit(spikes[:1])
    assert np.isfinite(fitted.score(spikes[1:2]))
    assert np.isfinite(fitted.connectivity_).all()
    assert np.isnan(fitted.connectivity_error_).all()


@pytest.mark.slow
def test_sessions_of_unequal_length_and_other_recordings(spikes):
    gaps = spikes[:3].copy(deep=True)
    gaps[0, 80:] = np.nan
    gaps[1, 70:90, 2] = np.nan
    fitted = clone(SMALL["astrosnn"]).set_params(n_steps=4).fit(gaps)
    assert np.isfinite(fitted.connectivity_).all()
    assert np.isfinite(fitted.score(gaps))
    with pytest.raises(InvalidInputError, match=r"spikes are of the neurons \[0 1\], the fit of"):
        fitted.score(spikes[..., :2])
    with pytest.raises(InvalidInputError, match=r"in bins of 0\.1 s, the fit of 0\.02 s"):
        fitted.score(spikes.assign_attrs(bin_size=0.1))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("astrosnn", {"n_hidden": 0}, "n_hidden=0, but it must be at least 1"),
        ("astrosnn", {"n_blocks": 0}, "n_blocks=0"),
        ("astrosnn", {"surrogate": "step"}, "surrogate='step' is unknown"),
        ("astrosnn", {"n_steps": 2.5}, "n_steps=2.5, but it must be at least 1, a whole number"),
        ("astrosnn", {"validation_fraction": 0.95}, "of 5 sessions leaves none to train on"),
        ("astrosnn", {"learning_rate": -1.0}, "learning_rate=-1.0, expected a number above 0"),
        ("bdh", {"n_hidden": 30, "n_heads": 4}, "n_hidden=30, expected a multiple of 8"),
        ("bdh", {"n_features": 0}, "n_features=0"),
    ],
)
def test_wrong_options_are_named_before_the_training(spikes, name, options, message):
    with pytest.raises(InvalidInputError, match=message):
        clone(SMALL[name]).set_params(**options).fit(spikes[:5])


def test_a_decoder_is_fitted_before_it_predicts(spikes):
    for decoder in SMALL.values():
        with pytest.raises(NotFittedError, match="not fitted yet"):
            clone(decoder).score(spikes)


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
