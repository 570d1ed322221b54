"""Draws by NUTS from the same numpyro program: what variational fits are held against."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm import InvalidInputError, OneHotHMMGLM, simulate_population
from onehotglm.estimator.exact import nuts
from onehotglm.kernels.history import make_basis
from onehotglm.kernels.rollout import rollout


@pytest.fixture(scope="module")
def spikes():
    return simulate_population(
        n_neurons=2, n_states=2, n_sessions=2, n_time_bins=400, random_state=3
    )["spikes"]


@pytest.fixture(scope="module")
def told_apart():
    """Two states that 900 bins tell apart: otherwise the posterior has other modes, too."""
    out = rollout(
        jax.random.key(1),
        jnp.array([[-2.0, 0.3], [0.3, -2.0]]),
        jnp.array([[[0.0, 0.8], [0.0, -0.8]], [[0.0, 0.8], [0.0, 0.0]]])[..., None],
        jnp.asarray(make_basis("exponential", 5)),
        jnp.array([[0.97, 0.03], [0.03, 0.97]]),
        jnp.array([0.5, 0.5]),
        link="softplus",
        n_sessions=2,
        n_time_bins=450,
    )
    return np.asarray(out.counts)


# Largest absolute and mean difference of the means, in standard deviations; the standard
# deviations' median ratio, either way; mean difference of type probabilities.  Of that, 300
# draws that are not independent explain differences of 0.1 each.  With types of eight couplings
# in all, what the couplings share is hardly known, and the guide has it independent of the
# types; over more connections this matters less (`benchmarks/variational.py nuts`).
STATED = {
    "none": (0.5, 0.2, 1.15, None),
    "gaussian": (0.6, 0.25, 1.25, None),
    "one-hot": (0.9, 0.35, 1.7, 0.15),
}


@pytest.mark.slow
@pytest.mark.parametrize("prior", STATED)
def test_variational_moments_are_the_samplers(told_apart, prior):
    options = {"n_states": 2, "prior": prior, "n_init": 2, "progress": False}
    model = OneHotHMMGLM(**options, method="vi").fit(told_apart)
    tree = nuts(model, told_apart, n_warmup=200, n_draws=300, n_chains=1)
    draws, posterior = tree["posterior"].to_dataset(), model.posterior()
    largest, mean, ratio, types = STATED[prior]
    shifts, ratios = [], []
    for name in ("connectivity", "bias"):
        exact = draws[name].values[0]
        sd = exact.std(0)
        unit = np.maximum(sd, 0.05)  # types may leave nothing open
        shifts.append((np.abs(posterior[f"{name}_mean"].values - exact.mean(0)) / unit).ravel())
        ratios.append((posterior[f"{name}_se"].values / sd)[sd > 0.05])
    shift, found = np.concatenate(shifts), float(np.median(np.concatenate(ratios)))
    assert shift.max() < largest
    assert shift.mean() < mean
    assert 1 / ratio < found < ratio
    if types is not None:
        sampled = draws["connection_type"].values[0][..., None] == [-1, 0, 1]
        proba = posterior["connection_type_proba"].values
        assert np.abs(sampled.mean(0) - proba).mean() < types


@pytest.mark.slow
def test_types_are_sampled_with_their_strengths(spikes):
    model = OneHotHMMGLM(n_states=1, prior="one-hot", progress=False).fit(spikes)
    tree = nuts(model, spikes, n_warmup=20, n_draws=20, n_chains=1)
    draws = tree["posterior"].to_dataset()
    assert draws.sizes["draw"] == 20
    np.testing.assert_array_equal(np.sign(draws["connectivity"]), draws["connection_type"])
    assert draws["connectivity"].std("draw").max() > 0


def test_what_has_no_such_posterior_is_refused(spikes):
    model = OneHotHMMGLM(n_states=1, prior="none", dale="infer", n_init=1, progress=False)
    with pytest.raises(InvalidInputError, match="dale"):
        nuts(model, spikes)
