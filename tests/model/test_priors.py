"""Priors against numerical integration, and the updates of what they learn."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import quad
from scipy.stats import norm, truncnorm

from onehotglm.model import priors
from onehotglm.model.priors import GaussianPrior, OneHotPrior

# One connection: (state, post, pre, basis) of size one.
ONE = (1, 1, 1, 1)


def prior_of(proba=(0.2, 0.5, 0.3), mean=(0.5, 0.8), sd=(0.4, 0.3)) -> OneHotPrior:
    return OneHotPrior(
        np.reshape(np.array(proba, float), (1, 1, 3)),
        np.array(mean, float)[:, None],
        np.array(sd, float)[:, None],
    )


def slab_integrals(sign, mean, sd, estimate, variance):
    """Evidence, first and second moment of a weight of one sign, by quadrature."""
    slab = truncnorm(-mean / sd, np.inf, loc=mean, scale=sd)

    def joint(strength, power):
        return (
            strength**power
            * slab.pdf(strength)
            * norm.pdf(estimate, sign * strength, variance**0.5)
        )

    precision = 1 / sd**2 + 1 / variance
    peak = max((mean / sd**2 + sign * estimate / variance) / precision, 0.0)
    width = precision**-0.5
    mass, first, second = (
        quad(joint, max(peak - 12 * width, 0), peak + 12 * width, (power,), epsabs=0)[0]
        for power in range(3)
    )
    return mass, sign * first / mass, second / mass


@pytest.mark.parametrize(
    ("estimate", "variance", "mean", "sd"),
    [
        (0.4, 0.05, (0.5, 0.8), (0.4, 0.3)),
        (-0.9, 0.2, (0.5, 0.8), (0.4, 0.3)),
        (0.0, 1.0, (0.0, -0.5), (0.6, 0.5)),
        (1.5, 0.04, (0.3, 0.2), (0.4, 0.9)),
    ],
)
def test_type_posterior_integrates_over_the_strength(estimate, variance, mean, sd):
    prior = prior_of(mean=mean, sd=sd)
    found = priors.type_posterior(prior, np.full(ONE, estimate), np.full(ONE, variance))
    inhibitory = slab_integrals(-1, mean[0], sd[0], estimate, variance)
    excitatory = slab_integrals(1, mean[1], sd[1], estimate, variance)
    evidence = [inhibitory[0], norm.pdf(estimate, 0, variance**0.5), excitatory[0]]
    joint = prior.type_proba[0, 0] * evidence
    np.testing.assert_allclose(found.type_proba.ravel(), joint / joint.sum(), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.mean.ravel(), [inhibitory[1], 0, excitatory[1]], rtol=1e-6)
    np.testing.assert_allclose(
        found.second_moment.ravel(), [inhibitory[2], 0, excitatory[2]], rtol=1e-6
    )


def test_all_basis_functions_of_a_connection_share_its_type():
    prior = OneHotPrior(np.full((1, 1, 3), 1 / 3), np.full((2, 2), 0.5), np.full((2, 2), 0.4))
    weak, strong = np.full((1, 1, 1, 2), 0.05), np.array([0.05, 0.8]).reshape(1, 1, 1, 2)
    variance = np.full(weak.shape, 0.02)
    proba = [priors.type_posterior(prior, e, variance).type_proba.ravel() for e in (weak, strong)]
    assert proba[0][1] > 0.5 > proba[1][1]
    assert proba[1][2] > 0.9


def test_moments_far_in_the_tail_go_over_smoothly():
    sd = np.full(200, 1.0)
    mean = np.linspace(-32.0, -28.0, 200)
    first, second = priors.truncated_moments(mean, sd)
    # There the distribution is exponential with the rate -mean / sd^2.
    np.testing.assert_allclose(first * -mean, 1.0, atol=4e-3)
    np.testing.assert_allclose(second * mean**2, 2.0, atol=2e-2)
    np.testing.assert_allclose(np.diff(first), np.diff(first).mean(), atol=3e-3 * first.mean())


@settings(max_examples=200, deadline=None)
@given(
    estimate=st.floats(-1e3, 1e3),
    variance=st.floats(1e-8, 1e6),
    mean=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    sd=st.tuples(st.floats(0.05, 3), st.floats(0.05, 3)),
    absent=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_extreme_evidence_gives_defined_results(estimate, variance, mean, sd, absent):
    prior = prior_of(((1 - absent) / 2, absent, (1 - absent) / 2), mean, sd)
    evidence = np.full(ONE, estimate), np.full(ONE, variance)
    found = priors.type_posterior(prior, *evidence)
    assert np.isfinite(found.type_proba).all()
    np.testing.assert_allclose(found.type_proba.sum(-1), 1)
    inhibitory, none, excitatory = found.mean.ravel()
    assert inhibitory <= 0 == none <= excitatory
    assert (found.second_moment >= found.mean**2 * (1 - 1e-6)).all()
    penalty = priors.moment_matched_penalty(found, *evidence)
    assert np.isfinite(penalty.mean).all()
    assert (penalty.precision > 0).all()
    assert np.isfinite(penalty.precision).all()


def test_site_and_evidence_together_have_the_mixtures_moments():
    rng = np.random.default_rng(0)
    shape = (2, 3, 3, 1)
    estimate, variance = rng.normal(0, 0.4, shape), rng.uniform(0.2, 0.5, shape)
    prior = priors.initial_one_hot((3, 3), 1)
    posterior = priors.type_posterior(prior, estimate, variance)
    site = priors.moment_matched_penalty(posterior, estimate, variance)
    mean, second = priors.mixture_moments(posterior)
    precision = site.precision + 1 / variance
    np.testing.assert_allclose(
        (site.precision * site.mean + estimate / variance) / precision, mean, rtol=1e-9
    )
    unclipped = (site.precision > 1e-3) & (site.precision < 1e6)
    assert unclipped.mean() > 0.9
    np.testing.assert_allclose((1 / precision)[unclipped], (second - mean**2)[unclipped])


def test_a_mixture_wider_than_the_evidence_keeps_its_mean():
    # Half inhibitory, half excitatory: the variance of the mixture exceeds the evidence's.
    prior = prior_of((0.5, 0.0, 0.5), (2.0, 2.0), (0.05, 0.05))
    evidence = np.full(ONE, 0.0), np.full(ONE, 1.0)
    site = priors.moment_matched_penalty(priors.type_posterior(prior, *evidence), *evidence)
    assert site.precision.item() == 1e-3
    np.testing.assert_allclose(site.mean, 0.0, atol=1e-6)


def test_slabs_are_the_penalty_of_known_types():
    prior = prior_of(mean=(0.5, 0.8), sd=(0.4, 0.2))
    types = np.array([-1, 0, 1]).reshape(3, 1, 1)
    penalty = priors.slab_penalty(prior, types)
    np.testing.assert_allclose(penalty.mean.ravel(), [-0.5, 0, 0.8])
    np.testing.assert_allclose(penalty.precision.ravel()[[0, 2]], [0.4**-2, 0.2**-2])


def test_damping_mixes_natural_parameters():
    old, new = (priors.WeightPenalty(np.array(m), np.array(p)) for m, p in ((1.0, 2.0), (4.0, 6.0)))
    assert priors.damped(None, new, 0.3) is new
    for part, expected in ((0.0, old), (1.0, new)):
        np.testing.assert_allclose(priors.damped(old, new, part), expected)
    half = priors.damped(old, new, 0.5)
    np.testing.assert_allclose(half, (13.0 / 4.0, 4.0))


# ------------------------------------------------------------------- what is learned


def expected_log_posterior(prior, posterior, pseudo):
    """Of the one-hot prior's parameters; `pseudo` are the pseudo-counts of types."""
    total = (posterior.type_proba.sum(0) + pseudo) * np.log(prior.type_proba)
    value = total.sum()
    for side, index in enumerate((0, 2)):
        weight = posterior.type_proba[..., index, None]
        mean, sd = prior.slab_mean[side], prior.slab_sd[side]
        first, second = np.abs(posterior.mean[index]), posterior.second_moment[index]
        squares = second - 2 * mean * first + mean**2
        log_density = -0.5 * squares / sd**2 - np.log(sd) - norm.logcdf(mean / sd)
        centre, width = priors.SLAB_LOG_SD
        hyper = (mean / priors.SLAB_MEAN_SD) ** 2 + ((np.log(sd) - centre) / width) ** 2
        value += (weight * log_density).sum() - 0.5 * hyper.sum()
    return value


def switching_evidence(n_states=4, n_neurons=5, seed=0):
    rng = np.random.default_rng(seed)
    types = rng.choice([-1, 0, 1], (n_neurons, n_neurons), p=[0.25, 0.5, 0.25])
    strength = np.abs(rng.normal(0.7, 0.2, (n_states, n_neurons, n_neurons)))
    weights = (types * strength)[..., None]
    variance = np.full(weights.shape, 0.02)
    return types, weights + rng.normal(0, 0.02**0.5, weights.shape), variance


def test_update_one_hot_maximises_the_expected_log_posterior():
    _, *evidence = switching_evidence()
    old = priors.initial_one_hot((5, 5), 1)
    posterior = priors.type_posterior(old, *evidence)
    new = priors.update_one_hot(old, posterior)
    pseudo = priors.TYPE_PSEUDO_STATES * posterior.type_proba.mean((0, 1, 2))
    best = expected_log_posterior(new, posterior, pseudo)
    assert best > expected_log_posterior(old, posterior, pseudo) + 1
    rng = np.random.default_rng(3)
    for size in (0.3, 0.03):
        proba = new.type_proba * np.exp(size * rng.normal(size=new.type_proba.shape))
        for other in (
            new._replace(type_proba=proba / proba.sum(-1, keepdims=True)),
            new._replace(slab_mean=new.slab_mean + size * rng.choice([-1, 1], (2, 1))),
            new._replace(slab_sd=new.slab_sd * np.exp(size * rng.choice([-1, 1], (2, 1)))),
        ):
            assert expected_log_posterior(other, posterior, pseudo) < best


def test_learning_finds_types_and_strengths():
    types, *evidence = switching_evidence(n_states=6, n_neurons=12)
    prior = priors.initial_one_hot((12, 12), 1)
    for _ in range(20):
        prior = priors.update_one_hot(prior, priors.type_posterior(prior, *evidence))
    assert (prior.type_proba.argmax(-1) - 1 == types).mean() > 0.97
    np.testing.assert_allclose(prior.slab_mean, 0.7, atol=0.1)
    np.testing.assert_allclose(prior.slab_sd, 0.2, atol=0.1)
    present = types != 0
    np.testing.assert_allclose(
        priors.expected_weights(prior)[..., 0][present], 0.7 * types[present], atol=0.25
    )


def test_slabs_stay_in_range_without_connections():
    prior = priors.initial_one_hot((3, 3), 1)
    nothing = np.zeros((2, 3, 3, 1)), np.full((2, 3, 3, 1), 1e-4)
    for _ in range(50):
        prior = priors.update_one_hot(prior, priors.type_posterior(prior, *nothing))
    assert (prior.type_proba[..., 1] > 0.95).all()
    assert (np.abs(prior.slab_mean) < 3 * priors.SLAB_MEAN_SD).all()
    assert ((prior.slab_sd > 0.1) & (prior.slab_sd < 2)).all()


def test_gaussian_spread_does_not_collapse_where_the_states_agree():
    weights = np.broadcast_to(np.linspace(-1, 1, 9).reshape(3, 3, 1), (5, 3, 3, 1))
    everywhere = np.ones((3, 3), bool)
    prior = priors.initial_gaussian(weights, everywhere)
    for _ in range(200):
        prior = priors.update_gaussian(prior, weights, np.zeros_like(weights) + 1e-9, everywhere)
    assert (prior.sd > 0.3 * priors.PSEUDO_SD).all()
    np.testing.assert_allclose(prior.mean, weights[0], atol=0.02)


def test_gaussian_learns_the_mean_and_the_spread_of_each_connection():
    rng = np.random.default_rng(0)
    mean, sd = rng.normal(0, 0.5, (8, 8, 1)), rng.uniform(0.1, 0.8, (8, 8, 1))
    weights = mean + sd * rng.normal(size=(400, 8, 8, 1))
    prior = GaussianPrior(np.zeros_like(mean), np.ones_like(sd), np.ones(1))
    for _ in range(10):
        prior = priors.update_gaussian(
            prior, weights, np.zeros_like(weights), np.ones((8, 8), bool)
        )
    np.testing.assert_allclose(prior.mean, mean, atol=0.15)
    np.testing.assert_allclose(prior.sd, sd, rtol=0.15)
    np.testing.assert_allclose(prior.mean_sd, 0.5, rtol=0.25)
    penalty = priors.gaussian_penalty(prior, 3)
    assert penalty.mean.shape == penalty.precision.shape == (3, 8, 8, 1)
    np.testing.assert_allclose(penalty.precision[2], prior.sd**-2.0)


def test_what_the_gaussian_prior_is_not_for_does_not_widen_it():
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.3, (4, 5, 5, 1))
    included = ~np.eye(5, dtype=bool)
    variance = np.full_like(weights, 0.01)
    strong = weights - 8 * np.eye(5)[..., None]
    found = [
        priors.update_gaussian(priors.initial_gaussian(w, included), w, variance, included)
        for w in (weights, strong)
    ]
    np.testing.assert_array_equal(found[0].mean_sd, found[1].mean_sd)
    np.testing.assert_array_equal(found[0].sd[included], found[1].sd[included])
