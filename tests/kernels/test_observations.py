"""Distributions of the observations against scipy, automatic differentiation and sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from onehotglm.kernels.emissions import ALL_LINKS
from onehotglm.kernels.observations import OBSERVATIONS, links_for

ETA = np.array([-3.0, -0.4, 0.3, 1.2, 2.0])
A = 0.7  # dispersion
VALUES = {
    "counts": np.arange(400.0),
    "binary": np.array([0.0, 1.0]),
    "real": np.linspace(-12.0, 14.0, 2001),
}
SCIPY = {
    "poisson": lambda x, f: stats.poisson.logpmf(x, f),
    "bernoulli": lambda x, f: stats.bernoulli.logpmf(x, f),
    "negative_binomial": lambda x, f: stats.nbinom.logpmf(x, 1 / A, 1 / (1 + A * f)),
    "gaussian": lambda x, f: stats.norm.logpdf(x, f, np.sqrt(A)),
}
FEW = [
    *(("poisson", "softplus"), ("bernoulli", "sigmoid")),
    *(("negative_binomial", "exp"), ("gaussian", "identity")),
]
PAIRS = FEW + [
    pytest.param(name, link, marks=pytest.mark.slow)
    for name in OBSERVATIONS
    for link in links_for(name)
    if (name, link) not in FEW
]


def grid(name):
    """Every value beside every predictor."""
    x, eta = np.meshgrid(VALUES[OBSERVATIONS[name].values], ETA, indexing="ij")
    return jnp.asarray(x), jnp.asarray(eta)


def test_links_go_with_what_they_can_be_the_mean_of():
    assert links_for("gaussian") == tuple(ALL_LINKS)
    assert "identity" not in links_for("poisson")
    assert links_for("negative_binomial") == links_for("poisson")


@pytest.mark.parametrize(("name", "link"), PAIRS)
def test_log_likelihood_and_its_weights(name, link, float64):
    family, function, (x, eta) = OBSERVATIONS[name], ALL_LINKS[link], grid(name)

    @jax.jit
    def evaluate(eta):
        def log_likelihood(eta):
            return family.log_likelihood(function, x, eta, jnp.float64(A))

        slope = jax.jvp(log_likelihood, (eta,), (jnp.ones_like(eta),))
        return *slope, *family.weights(function, x, eta, jnp.float64(A)), function.rate(eta)

    log_lik, slope, score, information, mean = map(np.asarray, evaluate(eta))
    log_lik = log_lik + family.log_base(np.asarray(x))
    expected = SCIPY[name](np.asarray(x), mean)
    np.testing.assert_allclose(log_lik, expected, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(score, slope, rtol=1e-7, atol=1e-7)
    # E[score^2] over all values, by the sum (or the trapezium rule).
    probability = np.exp(SCIPY[name](np.asarray(x), mean))
    step = x[1, 0] - x[0, 0]
    expected = (probability * score**2).sum(0) * step
    np.testing.assert_allclose(information[0], expected, rtol=1e-4)


def test_negative_binomial_in_single_precision():
    # Towards r -> infinity it is Poisson; log-gammas would lose all digits there.
    family, link = OBSERVATIONS["negative_binomial"], ALL_LINKS["exp"]
    r = np.array([1e-2, 0.5, 3.0, 40.0, 1e4, 1e7])[:, None, None]
    x, eta = np.meshgrid(np.arange(60.0), ETA, indexing="ij")
    evaluate = jax.jit(family.log_likelihood, static_argnums=0)
    found = evaluate(link, jnp.float32(x), jnp.float32(eta), jnp.float32(1 / r))
    expected = stats.nbinom.logpmf(x, r, 1 / (1 + np.exp(eta) / r)) - family.log_base(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize("name", ["negative_binomial", "gaussian"])
def test_updates_of_the_dispersion_climb_to_the_top(name, float64):
    rng = np.random.default_rng(0)
    eta = jnp.asarray(rng.normal(0.3, 0.4, (500, 3)))
    true = np.array([0.2, 1.0, 3.0])
    if name == "negative_binomial":
        x = rng.poisson(np.exp(eta) * rng.gamma(1 / true, true, eta.shape)).astype(float)
        link = ALL_LINKS["exp"]
    else:
        x, link = eta + np.sqrt(true) * rng.normal(size=eta.shape), ALL_LINKS["identity"]
    family, centre = OBSERVATIONS[name], jnp.full(3, 0.5)
    spread = family.dispersion

    def penalised(dispersion):
        total = family.log_likelihood(link, x, eta, dispersion).sum(0)
        return total + spread.log_prior(dispersion, centre)

    @jax.jit
    def step(here):
        sums = [part.sum(0) for part in spread.statistics(link, x, eta, here)]
        slope = jax.jvp(penalised, (here,), (jnp.ones_like(here),))[1]
        return penalised(here), slope * here, spread.update(jnp.stack(sums), here, centre)

    here, values = jnp.asarray(spread.start(x.mean(0), x.var(0))), []
    for _ in range(8):
        value, slope, following = step(here)
        values.append(value)
        here, last = following, here
    assert (np.diff(values, axis=0) > -1e-9).all()
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    assert (np.abs(np.log(last / true)) < 0.6).all()


def test_a_constant_signal_still_has_a_scale():
    start = OBSERVATIONS["gaussian"].dispersion.start(np.array([0.0, 3.0]), np.zeros(2))
    assert (start > 0).all()
