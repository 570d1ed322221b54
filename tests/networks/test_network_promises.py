import numpy as np
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.scoring import (
    bits_per_spike,
    mean_rates,
    modelled,
    poisson_log_likelihood,
)
from onehotglm.networks.astrosnn import AstroDecoder, AstroGenerator
from onehotglm.networks.base import Decoder, Generator, check_spikes
from onehotglm.networks.bdh import BDHDecoder, BDHGenerator
from onehotglm.networks.hmm_glm import HMMGLMDecoder
from onehotglm.networks.homogeneous import HomogeneousPoisson
from onehotglm.networks.rnn.decoder import RNNDecoder
from onehotglm.networks.rnn.generator import RNNGenerator

BIN_SIZE = 0.1


def as_spikes(counts, *, first=0.0):
    counts = np.asarray(counts, float)
    return xr.DataArray(
        counts,
        dims=("session", "time", "neuron"),
        coords={
            "time": first + BIN_SIZE * np.arange(counts.shape[1]),
            "neuron": 10 + np.arange(counts.shape[2]),
        },
        attrs={"bin_size": BIN_SIZE},
    )


@pytest.fixture
def spikes():
    rng = np.random.default_rng(0)
    counts = rng.poisson([0.2, 0.5, 0.1], (5, 60, 3)).astype(float)
    counts[0, 50:] = np.nan
    counts[1, 10, 2] = np.nan
    return as_spikes(counts)


def test_everything_here_keeps_a_promise():
    for generator in (RNNGenerator, AstroGenerator, BDHGenerator):
        assert issubclass(generator, Generator)
    for decoder in (RNNDecoder, AstroDecoder, BDHDecoder, HMMGLMDecoder, HomogeneousPoisson):
        assert issubclass(decoder, Decoder)


def test_log_likelihood_is_that_of_poisson_counts(spikes):
    from scipy.stats import poisson

    rates = xr.full_like(spikes, 3.0)
    by_hand = poisson.logpmf(spikes.values, 3.0 * BIN_SIZE)
    found = poisson_log_likelihood(rates, spikes)
    np.testing.assert_allclose(found, np.nansum(by_hand, axis=(1, 2)))


def test_bits_per_spike_by_hand():
    counts = as_spikes([[[2.0], [0.0]]])
    baseline = xr.DataArray([10.0], dims="neuron", coords={"neuron": [10]})
    rates = xr.DataArray([20.0], dims="neuron", coords={"neuron": [10]})
    log_likelihood = poisson_log_likelihood(rates, counts)
    # Twice the rate: two spikes gain a bit each, two bins cost one nat each.
    expected = (2 * np.log(2) - 2 * 1.0) / 2 / np.log(2)
    assert bits_per_spike(log_likelihood, counts, baseline) == pytest.approx(expected)


def test_homogeneous_baseline_has_no_bits_where_it_was_fitted(spikes):
    decoder = HomogeneousPoisson().fit(spikes)
    assert decoder.score(spikes) == pytest.approx(0, abs=1e-12)
    assert decoder.n_parameters_ == 3
    assert (decoder.connectivity_ == 0).all()
    assert decoder.predict_rates(spikes).dims == ("session", "time", "neuron")
    rates = decoder.predict_rates(spikes).isel(session=0, time=0)
    np.testing.assert_allclose(rates, spikes.mean(("session", "time")) / BIN_SIZE)


def test_lead_in_is_neither_modelled_nor_scored(spikes):
    counts = np.array(spikes.values)
    counts[:, :3] = 50
    late = as_spikes(counts, first=-3 * BIN_SIZE)
    plain = as_spikes(counts[:, 3:])
    assert modelled(late).sizes["time"] == 57
    np.testing.assert_allclose(mean_rates(late), mean_rates(plain))
    decoders = HomogeneousPoisson().fit(spikes), HomogeneousPoisson().fit(spikes)
    assert decoders[0].score(late) == decoders[1].score(plain)


def test_silent_neuron_counts_as_half_a_spike():
    silent = mean_rates(as_spikes(np.zeros((1, 20, 2))))
    np.testing.assert_allclose(silent, 0.5 / 20 / BIN_SIZE)
    assert np.isnan(
        HomogeneousPoisson()
        .fit(as_spikes(np.zeros((1, 9, 1))))
        .score(as_spikes(np.zeros((1, 9, 1))))
    )


def test_rates_that_are_no_numbers_are_not_forgotten(spikes):
    rates = xr.full_like(spikes, 3.0)
    rates[2, 7, 1] = np.nan
    rates[0, 55] = np.nan  # the counts are missing there as well
    found = poisson_log_likelihood(rates, spikes)
    np.testing.assert_array_equal(np.isnan(found), [False, False, True, False, False])


def test_values_of_missing_bins_do_not_matter(spikes):
    decoder = HomogeneousPoisson().fit(spikes)
    longer = as_spikes(np.pad(spikes.values, ((0, 0), (0, 7), (0, 0)), constant_values=np.nan))
    assert decoder.score(longer) == pytest.approx(decoder.score(spikes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.values, "spikes are ndarray, expected an xarray.DataArray"),
        (lambda s: s.isel(session=0), r"spikes are \('time', 'neuron'\), expected"),
        (lambda s: s.assign_attrs(bin_size=0), "bin_size 0, expected seconds"),
        (lambda s: s - 1, "spikes hold -1, expected finite counts"),
        (lambda s: s / 0 + 1, "spikes hold inf, expected finite counts"),
        (lambda s: s[:0], "'session': 0.*expected at least one session, bin and neuron"),
        (lambda s: s.assign_attrs(bin_size=0.05), "in bins of 0.05 s, the fit of 0.1 s"),
        (lambda s: s[..., ::-1], r"neurons \[12 11 10\], the fit of \[10 11 12\]"),
    ],
)
def test_wrong_spikes_are_named(spikes, change, message):
    with pytest.raises(InvalidInputError, match=message):
        check_spikes(
            change(spikes).assign_attrs(spikes.attrs)
            if message.startswith("spikes hold")
            else change(spikes),
            mean_rates(spikes),
        )


def test_dimensions_come_in_any_order(spikes):
    decoder = HomogeneousPoisson().fit(spikes.transpose("neuron", "session", "time"))
    np.testing.assert_allclose(decoder.mean_rates_, mean_rates(spikes))
