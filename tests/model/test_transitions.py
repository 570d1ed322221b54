"""The chain's prior against scipy, and its most probable value against its neighbours."""

import numpy as np
import pytest
from scipy.stats import dirichlet

from onehotglm.model.transitions import TransitionPrior, log_density, most_probable

pytestmark = pytest.mark.usefixtures("float64")
PRIOR = TransitionPrior(1.3, 4.0)


def random_chain(rng, n_states=3):
    return rng.dirichlet(np.ones(n_states), n_states), rng.dirichlet(np.ones(n_states))


def test_density_is_dirichlet_up_to_a_constant():
    rng = np.random.default_rng(0)

    def from_scipy(transition, initial):
        rows = PRIOR.concentration + PRIOR.stickiness * np.eye(3)
        start = np.full(3, PRIOR.concentration)
        return sum(dirichlet.logpdf(*pair) for pair in zip(transition, rows, strict=True)) + (
            dirichlet.logpdf(initial, start)
        )

    one, two = random_chain(rng), random_chain(rng)
    np.testing.assert_allclose(
        log_density(PRIOR, *one) - log_density(PRIOR, *two), from_scipy(*one) - from_scipy(*two)
    )


def test_most_probable_chain_beats_its_neighbours():
    rng = np.random.default_rng(1)
    counts, starts = rng.gamma(2.0, size=(3, 3)), rng.gamma(2.0, size=3)

    def objective(transition, initial):
        likelihood = (counts * np.log(transition)).sum() + (starts * np.log(initial)).sum()
        return likelihood + float(log_density(PRIOR, transition, initial))

    best = [np.asarray(x) for x in most_probable(PRIOR, counts, starts)]
    for x in best:
        np.testing.assert_allclose(x.sum(-1), 1)
    for _ in range(20):
        others = [x * np.exp(0.1 * rng.normal(size=x.shape)) for x in best]
        others = [x / x.sum(-1, keepdims=True) for x in others]
        assert objective(*others) < objective(*best)


def test_a_state_without_counts_gets_equal_probabilities():
    flat = TransitionPrior(1.0, 0.0)
    counts = np.array([[3.0, 1.0], [0.0, 0.0]])
    transition, initial = most_probable(flat, counts, np.zeros(2))
    np.testing.assert_allclose(transition, [[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(initial, 0.5)


def test_stickiness_favours_staying():
    counts, starts = np.ones((2, 2)), np.ones(2)
    free, _ = most_probable(TransitionPrior(1.0, 0.0), counts, starts)
    sticky, _ = most_probable(TransitionPrior(1.0, 2.0), counts, starts)
    np.testing.assert_allclose(free, 0.5)
    np.testing.assert_allclose(np.diag(sticky), 0.75)


def test_a_flat_prior_says_nothing_of_impossible_transitions():
    assert log_density(TransitionPrior(1.0, 0.0), np.eye(2), np.array([1.0, 0.0])) == 0
