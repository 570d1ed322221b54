"""What is fitted, penalties for it, and what the data say of each weight."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from onehotglm.inference import em
from onehotglm.inference.em import EMConfig, EMState
from onehotglm.inference.newton import Penalty, coordinates
from onehotglm.inference.shared_kernel import SharedKernel, default_kernel, factors
from onehotglm.model.dale import Signs
from onehotglm.model.priors import GaussianPrior, OneHotPrior, TypePosterior, WeightPenalty
from onehotglm.model.recording import Recording
from onehotglm.model.structure import Structure
from onehotglm.model.transitions import TransitionPrior


class Problem(NamedTuple):
    """Everything that stays the same during a fit.

    Attributes
    ----------
    recording : Recording
    config : EMConfig
    transition_prior : TransitionPrior
    bias_mean, bias_precision : array, shape (neuron,), and float
        Prior over biases.
    ridge : float
        Precision of the weights' prior until a prior is learned.
    structure : Structure
        Which couplings there are, and which move together.
    max_iter : int
    tol : float
    on_step : callable
        Called with the state after every EM step; returns True to stop early.
    dispersion_centre : array, shape (neuron,), or None
        Of the prior over dispersions, where the observations have any.
    covariate_precision : float
        Of the prior over the effects of covariates, around zero.
    """

    recording: Recording
    config: EMConfig
    transition_prior: TransitionPrior
    bias_mean: np.ndarray
    bias_precision: float
    ridge: float
    structure: Structure
    max_iter: int
    tol: float
    on_step: Callable[[EMState], bool]
    dispersion_centre: Array | None = None
    covariate_precision: float = 0.0

    @property
    def n_covariates(self) -> int:
        """Columns of covariates."""
        covariates = self.recording.covariates
        return 0 if covariates is None else covariates.shape[1]

    @property
    def coupling_columns(self) -> slice:
        """Columns of couplings in every regression."""
        return slice(1, 1 + self.structure.free.shape[1] * self.n_basis)

    @property
    def n_basis(self) -> int:
        """Basis functions per coupling."""
        return self.recording.basis.shape[0]

    @property
    def n_weights(self) -> int:
        """Weights per coupling and state that priors are about: one with shared kernels."""
        return 1 if self.structure.shared_kernel else self.n_basis

    @property
    def prior_columns(self) -> slice:
        """Columns of a penalty that priors over couplings are about."""
        return slice(1, 1 + self.structure.free.shape[1] * self.n_weights)

    @property
    def n_chunks(self) -> int:
        """Chunks of the whole recording."""
        return self.recording.n_time // self.config.chunk_size


class Learned(NamedTuple):
    """A fit.

    Attributes
    ----------
    state : EMState
        At the final parameters.
    penalty : Penalty
        Of the last step.
    prior : GaussianPrior, OneHotPrior or None
    types : TypePosterior or None
        Of the one-hot prior, before the types were fixed.
    signs : Signs or None
        Of the presynaptic neurons, under Dale's law.
    reason : str
        Why it stopped.
    """

    state: EMState
    penalty: Penalty
    prior: GaussianPrior | OneHotPrior | None
    types: TypePosterior | None
    signs: Signs | None
    reason: str


def make_penalty(
    problem: Problem,
    weights: WeightPenalty,
    present: np.ndarray | bool = True,
    *,
    learn_kernels: bool = True,
) -> Penalty:
    """Penalty over all coefficients from one over weights (state, post, pre, basis).

    `present` (state, post, pre, basis) restricts the couplings under the prior further than the
    structure does.  With shared kernels there is a strength in place of the weights.
    """
    n_states, n_neurons = weights.mean.shape[:2]
    structure = problem.structure
    own, sign = structure.own[..., None], structure.sign
    free = np.broadcast_to(structure.free[..., None] & (own | present), weights.mean.shape)
    mean = np.where(free & ~own, weights.mean, 0.0)
    precision = np.where(own, structure.own_precision, weights.precision)

    def columns(bias, per_weight, per_covariate):
        bias = np.broadcast_to(bias, (n_states, n_neurons))[..., None]
        rest = np.full((n_states, n_neurons, problem.n_covariates), per_covariate)
        return np.concatenate([bias, per_weight.reshape(n_states, n_neurons, -1), rest], axis=-1)

    dtype = problem.recording.counts.dtype
    return Penalty(
        jnp.asarray(columns(problem.bias_mean, mean, 0.0), dtype),
        jnp.asarray(columns(problem.bias_precision, precision, problem.covariate_precision), dtype),
        jnp.asarray(columns(True, free, True)),
        None if structure.tied is None else jnp.asarray(structure.tied),
        None if sign is None else column_signs(problem, np.where(structure.synapse, sign, 0)),
        None if structure.shared_kernel else _roughness(problem, n_states),
        _shared_kernel(problem, learn_kernels) if structure.shared_kernel else None,
    )


def _shared_kernel(problem: Problem, learn_kernels: bool) -> SharedKernel:
    basis = problem.recording.basis
    falling = jnp.asarray(default_kernel(np.asarray(basis, float)), basis.dtype)
    default = jnp.tile(falling, (problem.structure.free.shape[1], 1))
    smoothness = jnp.asarray(_smoothness(problem), basis.dtype)
    return SharedKernel(basis, default, smoothness, jnp.asarray(learn_kernels))


def _roughness(problem: Problem, n_states: int) -> Array | None:
    """Precision of the second differences of all weights, shape (post or 1, column, column)."""
    structure = problem.structure
    if structure.smoothness == 0:
        return None
    times, last = np.ones(structure.free.shape), problem.coupling_columns.stop
    if structure.tied is not None and ((structure.tied > 0) & (structure.tied < last)).any():
        times[structure.own] = 1 / n_states  # tied weights stand in every state's penalty
    smoothness, rows = _smoothness(problem), times if (times != 1).any() else times[:1]
    blocks = np.stack([np.kron(np.diag(row), smoothness) for row in rows])
    around = (1, problem.n_covariates)
    return jnp.asarray(np.pad(blocks, ((0, 0), around, around)), problem.recording.basis.dtype)


def _smoothness(problem: Problem) -> np.ndarray:
    """Precision of second differences over lags, shape (basis, basis).

    ``w' P w = smoothness * sum_l (k[l-1] - 2 k[l] + k[l+1])^2`` for the kernel ``k = w' basis``:
    the penalty of Eilers & Marx (1996, Statistical Science 11:89) on values over lags.
    """
    differences = np.diff(np.asarray(problem.recording.basis, float), 2, axis=1)
    return problem.structure.smoothness * differences @ differences.T


def column_signs(problem: Problem, signs: np.ndarray) -> Array:
    """Signs of couplings (..., post, pre) as those of coefficients (..., post, column)."""
    columns = np.repeat(signs, problem.n_weights, axis=-1)
    around = [(0, 0)] * (signs.ndim - 1) + [(1, problem.n_covariates)]
    return jnp.asarray(np.pad(columns, around))


def ridge_penalty(problem: Problem, n_states: int) -> Penalty:
    """Penalty before any prior is learned."""
    shape = (n_states, *problem.structure.free.shape, problem.n_weights)
    return make_penalty(problem, WeightPenalty(np.zeros(shape), np.full(shape, problem.ridge)))


def stepper(
    problem: Problem, penalty: Penalty, n_chunks: int | None = None
) -> Callable[[EMState], EMState]:
    """`em.step` on this problem, by default on the whole recording."""
    n_chunks = problem.n_chunks if n_chunks is None else n_chunks
    return partial(
        em.step,
        recording=problem.recording,
        penalty=penalty,
        transition_prior=problem.transition_prior,
        n_chunks=jnp.asarray(n_chunks, jnp.int32),
        config=problem.config,
        dispersion_centre=problem.dispersion_centre,
    )


class Evidence(NamedTuple):
    """What the data alone say of each weight, shapes (state, post, pre, basis)."""

    estimate: np.ndarray
    variance: np.ndarray


def evidence(problem: Problem, state: EMState, penalty: Penalty) -> Evidence:
    """Divide the prior out of the Laplace posterior's marginals.

    ``1/v = 1/V - d`` and ``estimate = v (theta / V - d m)`` with prior precision d and
    mean m, posterior mean theta and variance V.
    """
    posterior_mean, posterior_variance = laplace_weights(problem, state, penalty)
    shape = posterior_mean.shape
    mean, precision = (
        np.asarray(x, float)[..., problem.prior_columns].reshape(shape)
        for x in (penalty.mean, penalty.precision)
    )
    variance = 1 / np.maximum(1 / posterior_variance - precision, 1e-4)
    estimate = variance * (posterior_mean / posterior_variance - precision * mean)
    return Evidence(estimate, variance)


def laplace_weights(
    problem: Problem, state: EMState, penalty: Penalty
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and their Laplace variances given the states, (state, post, pre, basis)."""
    coefficients, informations, roughness = coordinates(
        state.accepted.coefficients, state.curvature.information, penalty
    )
    # One state at a time: all inverses together may not fit in memory.
    variances = np.stack(
        [
            _inverse_diagonal(information.astype(float) + roughness, np.asarray(precision, float))
            for information, precision in zip(informations, penalty.precision, strict=True)
        ]
    )
    shape = (*coefficients.shape[:2], -1, problem.n_weights)
    columns = problem.prior_columns
    weights = coefficients[..., columns].astype(float).reshape(shape)
    return weights, variances[..., columns].reshape(shape)


def weights_under_prior(problem: Problem, state: EMState, penalty: Penalty) -> np.ndarray:
    """Weights, or strengths, that the prior is about: (state, post, pre, basis)."""
    coefficients = state.accepted.coefficients
    if penalty.kernel is not None:
        coefficients = factors(coefficients, penalty.kernel)[0]
    columns = np.asarray(coefficients)[..., problem.prior_columns]
    return columns.reshape(*columns.shape[:2], -1, problem.n_weights)


def _inverse_diagonal(information: np.ndarray, precision: np.ndarray) -> np.ndarray:
    eye = np.eye(information.shape[-1])
    jitter = 1e-9 * np.trace(information, axis1=-2, axis2=-1)[:, None] / len(eye) + 1e-8
    inverse = np.linalg.inv(information + (precision + jitter)[..., None] * eye)
    return np.diagonal(inverse, axis1=-2, axis2=-1)
