"""Families of posteriors: marginals, correlations, draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import beta

from onehotglm.estimator.settings import GUIDES
from onehotglm.inference import guides
from onehotglm.inference.guides import CouplingGuide, SmoothDirichlet
from onehotglm.model.couplings import Normals

SHAPE = (2, 2)  # states, neurons


def make_guide(guide, seed=0):
    rng = np.random.default_rng(seed)
    bias = Normals(rng.normal(size=SHAPE), rng.uniform(0.5, 1, SHAPE))
    weights = Normals(rng.normal(size=(*SHAPE, 2)), rng.uniform(0.5, 1, (*SHAPE, 2)))
    last = {"mean_field": None, "low_rank": 2, "structured": 3}[guide]
    correlation = None if last is None else rng.normal(size=(*SHAPE, 3, last))
    return jax.tree.map(jnp.asarray, (bias, weights, correlation))


def test_the_settings_name_all_guides():
    assert GUIDES == guides.GUIDES


@pytest.mark.parametrize("guide", GUIDES)
def test_draws_have_the_marginals_and_correlations(float64, guide):
    bias, weights, correlation = make_guide(guide)
    joint = CouplingGuide(bias, weights, correlation, guide)
    draw = jax.jit(lambda key: (joint.sample(key, (40_000,)), joint.correlation_cost()))
    value, found = map(np.asarray, draw(jax.random.key(0)))
    loc = np.concatenate([bias.loc[..., None], weights.loc], -1)
    scale = np.concatenate([bias.scale[..., None], weights.scale], -1)
    np.testing.assert_allclose(value.mean(0), loc, atol=0.03)
    np.testing.assert_allclose(value.std(0), scale, rtol=0.03)
    # Minus half the log determinant of the scores' correlations, from the draws.
    scores = ((value - loc) / scale).reshape(len(value), -1)
    cost = -0.5 * np.linalg.slogdet(np.corrcoef(scores.T))[1]
    assert float(found) == pytest.approx(cost, abs=0.05)
    between = np.corrcoef(scores.T)[:6, 6:]  # different states
    assert (np.abs(between).max() > 0.1) == (guide == "low_rank")


@pytest.mark.parametrize("concentration", [(1.1, 50.0), (0.3, 0.7)])
def test_dirichlet_draws(concentration):
    draw = jax.jit(lambda a, key: SmoothDirichlet(a).sample(key, (100_000,)))
    value = np.asarray(draw(jnp.array(concentration), jax.random.key(0)))
    for level in (0.05, 0.5, 0.95):
        below = (value[:, 0] < beta(*concentration).ppf(level)).mean()
        assert float(below) == pytest.approx(level, abs=0.006)
