"""Louis' identity against differences of the score, and of the log-likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.estimator.packing import pack
from onehotglm.estimator.validate import as_spikes
from onehotglm.inference import decode
from onehotglm.inference.information import observed_information, state_posterior
from onehotglm.kernels.emissions import ALL_LINKS
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model.params import Params
from tests.inference.tiny import (
    BASIS,
    N_NEURONS,
    SIZE,
    STAND_IN,
    design_of,
    make_counts,
    make_params,
    on_device,
    packed,
)

pytestmark = pytest.mark.usefixtures("float64")
EVERYBODY = np.arange(N_NEURONS)
STEP = 1e-5


def information(params, recording, neurons=EVERYBODY, link="softplus", given_states=False):
    posterior = state_posterior(params, recording, size=SIZE, link=link)
    return observed_information(
        params, recording, posterior, neurons, size=SIZE, link=link, given_states=given_states
    )


@pytest.fixture(scope="module")
def recording():
    with jax.enable_x64(True):
        return packed(make_counts(missing=0.2), n_lead=5).recording


def moved(params: Params, direction: np.ndarray, step: float) -> Params:
    return params._replace(coefficients=params.coefficients + step * jnp.asarray(direction))


@pytest.mark.parametrize(
    ("link", "driven"),
    [
        ("softplus", False),
        pytest.param("sigmoid", False, marks=pytest.mark.slow),
        pytest.param("softplus", True, marks=pytest.mark.slow),
    ],
)
def test_score_and_information_are_derivatives(recording, link, driven):
    params = on_device(make_params())
    if driven:
        inputs = np.random.default_rng(2).normal(size=(recording.n_time, 1))
        recording = recording._replace(transition_inputs=jnp.asarray(inputs))
        params = params._replace(transition_weights=jnp.array([[1.0], [-1.0]]))
    found = information(params, recording, link=link)

    def log_likelihood(params):
        return float(decode.smoothed(params, recording, size=SIZE, link=link).log_likelihood)

    rng = np.random.default_rng(1)
    for _ in range(2):
        direction = rng.normal(size=params.coefficients.shape)
        there, back = (moved(params, direction, step) for step in (STEP, -STEP))
        slope = (log_likelihood(there) - log_likelihood(back)) / (2 * STEP)
        assert (found.score * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-7)
        scores = [information(p, recording, link=link).score for p in (there, back)]
        bend = (scores[1] - scores[0]).ravel() / (2 * STEP)
        np.testing.assert_allclose(found.matrix @ direction.ravel(), bend, rtol=1e-6, atol=1e-7)


OBSERVED = {
    "bernoulli": ("sigmoid", None, lambda x: np.minimum(x, 1)),
    "negative_binomial": ("softplus", np.array([0.3, 1.0, 0.05]), lambda x: x),
    "gaussian": ("softplus", np.array([0.5, 1.5, 0.2]), lambda x: x - 0.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("observation", OBSERVED)
def test_other_observations_against_the_hessian(observation):
    link, dispersion, change = OBSERVED[observation]
    sessions = [change(counts) for counts in make_counts(missing=0.2)]
    values = OBSERVATIONS[observation].values
    recording = pack(as_spikes(sessions, values=values), BASIS, STAND_IN, SIZE, "float64").recording
    params = on_device(make_params()._replace(dispersion=dispersion))
    what = {"size": SIZE, "link": link, "observation": observation}
    posterior = state_posterior(params, recording, **what)
    found = observed_information(
        params, recording, posterior, EVERYBODY, **what, given_states=False
    )

    def log_likelihood(coefficients):
        return sum(
            _forward(params._replace(coefficients=coefficients), session, link, observation)
            for session in sessions
        )

    score, hessian = jax.jit(
        lambda x: (jax.grad(log_likelihood)(x), jax.hessian(log_likelihood)(x))
    )(params.coefficients)
    np.testing.assert_allclose(found.score, score, rtol=1e-8, atol=1e-9)
    expected = -np.asarray(hessian).reshape(found.matrix.shape)
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-7, atol=1e-8)


def _forward(params, counts, link, observation):
    """Log-likelihood of a session by the plain forward recursion."""
    eta = jnp.einsum("tc,snc->tsn", design_of(counts), params.coefficients)
    seen, filled = np.isfinite(counts)[:, None], np.nan_to_num(counts)[:, None]
    family = OBSERVATIONS[observation]
    each = family.log_likelihood(ALL_LINKS[link], filled, eta, params.dispersion)
    log_lik = (seen * each).sum(-1)

    def step(log_proba, now):
        moved = jax.nn.logsumexp(log_proba[:, None] + jnp.log(params.transition), axis=0)
        return moved + now, None

    last, _ = jax.lax.scan(step, jnp.log(params.initial) + log_lik[0], log_lik[1:])
    return jax.nn.logsumexp(last)


def test_a_group_of_neurons_has_its_part(recording):
    params = on_device(make_params())
    whole, part = (information(params, recording, np.array(who)) for who in ([0, 1, 2], [0, 2, 1]))
    shape = params.coefficients.shape * 2
    expected = whole.matrix.reshape(shape)[:, [0, 2, 1]][:, :, :, :, [0, 2, 1]]
    np.testing.assert_allclose(part.matrix.reshape(shape), expected, rtol=1e-9, atol=1e-10)


def test_uncertain_states_lose_information(recording):
    params = on_device(make_params())
    given, uncertain = (
        information(params, recording, given_states=given_states) for given_states in (True, False)
    )
    np.testing.assert_allclose(given.score, uncertain.score, rtol=1e-12)
    missing = np.linalg.eigvalsh(given.matrix - uncertain.matrix)
    assert missing.min() > -1e-9 * missing.max()
    assert missing.max() > 0.1
