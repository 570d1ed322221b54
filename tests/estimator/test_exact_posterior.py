"""Draws by NUTS from the same numpyro program: what variational fits are held against."""

import numpy as np
import pytest

from onehotglm import InvalidInputError, OneHotHMMGLM, simulate_population
from onehotglm.estimator.exact import nuts


@pytest.fixture(scope="module")
def spikes():
    return simulate_population(
        n_neurons=2, n_states=2, n_sessions=2, n_time_bins=400, random_state=3
    )["spikes"]


@pytest.mark.slow
def test_variational_moments_are_the_samplers(spikes):
    model = OneHotHMMGLM(n_states=1, prior="none", method="vi", progress=False).fit(spikes)
    tree = nuts(model, spikes, n_warmup=300, n_draws=500, n_chains=1)
    draws, posterior = tree["posterior"].to_dataset(), model.posterior()
    for name in ("connectivity", "bias"):
        exact = draws[name].values[0]
        sd = exact.std(0)
        # 500 draws: Monte-Carlo errors of about 0.1 sd where draws are correlated.
        shift = (posterior[f"{name}_mean"].values - exact.mean(0)) / sd
        assert np.abs(shift).max() < 0.4, name
        ratio = posterior[f"{name}_se"].values / sd
        np.testing.assert_allclose(np.log(ratio), 0, atol=0.35, err_msg=name)


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
