import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.networks.effective_connectivity import effective_connectivity


class Glm(eqx.Module):
    """Rates of an exponential or linear GLM with one weight per lag, in Hz."""

    weights: jax.Array  # (lag, post, pre)
    exponential: bool = eqx.field(static=True, default=True)

    def __call__(self, counts):
        eta = jnp.zeros_like(counts)
        for lag, weights in enumerate(self.weights, start=1):
            past = jnp.pad(counts, ((lag, 0), (0, 0)))[: len(counts)]
            eta = eta + past @ weights.T
        return jnp.exp(eta) if self.exponential else eta


def as_spikes(counts, first=0.0):
    counts = np.asarray(counts, np.float32)
    time = first + 0.02 * np.arange(counts.shape[1])
    dims = ("session", "time", "neuron")
    return xr.DataArray(counts, dims=dims, coords={"time": time}, attrs={"bin_size": 0.02})


@pytest.fixture
def spikes():
    return as_spikes(np.random.default_rng(0).poisson(0.3, (4, 40, 3)))


@pytest.fixture
def glm():
    return Glm(jnp.asarray(np.random.default_rng(1).normal(0, 0.3, (2, 3, 3)), jnp.float32))


def by_jacobian(predict, counts, n_lags):
    """Mean of the whole Jacobian's diagonals, by reverse derivatives."""
    jacobian = np.array(jax.jacrev(predict)(jnp.asarray(counts)))  # (t, post, s, pre)
    diagonals = [
        [jacobian[t, :, t - lag] for t in range(lag, len(counts))] for lag in range(1, n_lags + 1)
    ]
    return diagonals


def test_mean_of_the_jacobian_is_exact_within_the_memory(spikes, glm):
    found = effective_connectivity(glm, spikes, n_lags=2)
    sessions = [by_jacobian(glm, counts, 2) for counts in spikes.values]
    for lag in (0, 1):
        expected = np.concatenate([session[lag] for session in sessions]).mean(axis=0)
        np.testing.assert_allclose(found["connectivity_by_lag"][lag], expected, rtol=1e-4)
    np.testing.assert_allclose(
        found["connectivity"], found["connectivity_by_lag"].sum("lag"), rtol=1e-6
    )


def test_lags_beyond_the_memory_are_zero(spikes, glm):
    found = effective_connectivity(glm, spikes, n_lags=4)
    np.testing.assert_allclose(found["connectivity_by_lag"].sel(lag=[3, 4]), 0, atol=1e-5)


def test_longer_memory_averages_out():
    linear = Glm(jnp.full((6, 1, 1), 2.0), exponential=False)
    counts = as_spikes(np.zeros((2, 4000, 1)))
    found = effective_connectivity(linear, counts, n_lags=2)
    np.testing.assert_allclose(found["connectivity_by_lag"].values.ravel(), 2, atol=0.3)


@pytest.mark.parametrize("chunk_size", [1, 4, 1000])
def test_chunks_do_not_change_the_result(spikes, glm, chunk_size):
    found = effective_connectivity(glm, spikes, n_lags=2, chunk_size=chunk_size)
    other = effective_connectivity(glm, spikes, n_lags=2)
    np.testing.assert_allclose(found["connectivity"], other["connectivity"], rtol=1e-4)


def test_missing_and_lead_in_bins_are_left_out(spikes, glm):
    padded = np.pad(spikes.values, ((0, 0), (0, 9), (0, 0)), constant_values=np.nan)
    plain = effective_connectivity(glm, spikes, n_lags=2)
    found = effective_connectivity(glm, as_spikes(padded), n_lags=2)
    np.testing.assert_allclose(found["connectivity"], plain["connectivity"], rtol=1e-4)

    late = effective_connectivity(glm, as_spikes(spikes.values, first=-0.1), n_lags=2)
    sessions = [by_jacobian(glm, counts, 2) for counts in spikes.values]
    expected = np.concatenate([session[1][3:] for session in sessions]).mean(axis=0)
    np.testing.assert_allclose(late["connectivity_by_lag"][1], expected, rtol=1e-4)


def test_error_is_the_spread_over_sessions(glm):
    rng = np.random.default_rng(2)
    spikes = as_spikes(rng.poisson(0.3, (60, 50, 3)))
    found = effective_connectivity(glm, spikes, n_lags=2, n_bootstrap=500)
    one_by_one = [
        effective_connectivity(glm, spikes[[i]], n_lags=2)["connectivity"].values for i in range(60)
    ]
    expected = np.std(one_by_one, axis=0) / np.sqrt(60)
    np.testing.assert_allclose(found["connectivity_error"], expected, rtol=0.25)


def test_one_session_has_no_error(spikes, glm):
    found = effective_connectivity(glm, spikes[:1], n_lags=2)
    assert np.isnan(found["connectivity_error"]).all()
    assert np.isfinite(found["connectivity"]).all()


def test_second_call_of_a_module_traces_nothing(spikes):
    traces = []

    class Counted(Glm):
        def __call__(self, counts):
            traces.append(1)
            return super().__call__(counts)

    for value in (0.1, 0.2):
        effective_connectivity(Counted(jnp.full((1, 3, 3), value)), spikes, n_lags=1)
    first = len(traces)
    effective_connectivity(Counted(jnp.full((1, 3, 3), 0.3)), spikes, n_lags=1)
    assert len(traces) == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_lags": 0}, "n_lags=0, but it must be at least 1"),
        ({"chunk_size": 0}, "chunk_size=0, but it must be at least 1"),
        ({"n_lags": 40}, "the longest session has 40 bins, too few for n_lags=40"),
    ],
)
def test_wrong_options_are_named(spikes, glm, options, message):
    with pytest.raises(InvalidInputError, match=message):
        effective_connectivity(glm, spikes, **options)
