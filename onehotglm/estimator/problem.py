"""What a fit works on: the problem and its starting points, from the constructor's parameters."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.exogenous import COVARIATES
from onehotglm.estimator.packing import Packed
from onehotglm.estimator.settings import affordable, known_signs
from onehotglm.inference.em import EMConfig, EMState
from onehotglm.inference.init import initial_coefficients, sticky_chain
from onehotglm.inference.learning import Problem, ridge_penalty
from onehotglm.inference.newton import feasible
from onehotglm.inference.shared_kernel import with_default_kernel
from onehotglm.kernels.emissions import predictor_at
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model.params import Params
from onehotglm.model.structure import Structure, make_structure
from onehotglm.model.transitions import TransitionPrior
from onehotglm.random_state import numpy_generator, spawn

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

# Bias prior: the link's inverse of a neuron's mean rate, with this precision.
_BIAS_PRECISION = 0.01


def make_problem(
    model: "OneHotHMMGLM", packed: Packed, on_step: Callable[[EMState], bool]
) -> Problem:
    """Everything that stays the same during a fit.

    Parameters
    ----------
    model : OneHotHMMGLM
        Knows its basis and the moments of the data.
    packed : Packed
    on_step : callable
        Called with the state after every EM step; returns True to stop early.

    Returns
    -------
    Problem
    """
    n_weights = len(model.mean_counts_) * len(model.basis_functions_)
    n_columns = 1 + n_weights + COVARIATES.count(model)
    n_modelled = packed.counts.shape[1]
    exact = affordable(len(packed.position), model.n_states, n_modelled, n_columns)
    means = model.mean_counts_[model._modelled]
    return Problem(
        recording=packed.recording,
        config=EMConfig(model._chunk_size, model.link, exact, model.observation),
        transition_prior=TransitionPrior(
            model.transition_concentration, model.stickiness, model.transition_ridge
        ),
        bias_mean=predictor_at(means, model.link).astype(float),
        bias_precision=_BIAS_PRECISION,
        ridge=model.ridge,
        structure=_structure(model),
        max_iter=model.max_iter,
        tol=model.tol,
        on_step=on_step,
        dispersion_centre=_dispersion_centre(model),
        covariate_precision=_covariate_precision(model),
    )


def _structure(model: "OneHotHMMGLM") -> Structure:
    n_neurons = len(model.mean_counts_)
    structure = make_structure(
        n_neurons,
        len(model.basis_functions_),
        model.n_states,
        neurons=model._modelled,
        self_history=model.self_history,
        own_precision=model.ridge if model.self_ridge is None else model.self_ridge,
        shared_bias=model.bias == "shared",
        dale=known_signs(model.dale, n_neurons),
        n_shared_covariates=COVARIATES.count(model) if model.covariate_effect == "shared" else 0,
        shared_kernel=model.kernel == "shared",
        smoothness=model.smoothness,
    )
    if model.prior != "one-hot" and structure.dale is not None:
        structure = structure.with_sign(structure.dale)
    return structure


def _covariate_precision(model: "OneHotHMMGLM") -> float:
    ridge = model.ridge if model.covariate_ridge is None else model.covariate_ridge
    # A coefficient that the states share stands in every state's penalty.
    return ridge / model.n_states if model.covariate_effect == "shared" else ridge


def _dispersion_centre(model: "OneHotHMMGLM") -> jnp.ndarray | None:
    dispersion = OBSERVATIONS[model.observation].dispersion
    if dispersion is None or model.baseline_variance_ is None:
        return None
    start = dispersion.start(model.mean_counts_, model.baseline_variance_)[model._modelled]
    return jnp.asarray(start, model.dtype)


def make_starts(model: "OneHotHMMGLM", problem: Problem, given: Sequence[Params]) -> list[Params]:
    """Make starting points that differ in small random weights, and add those given.

    Parameters
    ----------
    model : OneHotHMMGLM
    problem : Problem
    given : sequence of Params

    Returns
    -------
    list of Params

    Raises
    ------
    InvalidInputError
        If a start that is given has another shape.
    """
    penalty = ridge_penalty(problem, model.n_states)
    n_columns = problem.coupling_columns.stop + problem.n_covariates
    expected = (*penalty.mean.shape[:2], n_columns)
    for start in given:
        if start.coefficients.shape != expected:
            raise InvalidInputError(
                f"a start has the shape {start.coefficients.shape} (state, neuron, column); "
                f"expected {expected}"
            )
    points: list[tuple[Any, ...]] = []
    for rng in spawn(numpy_generator(model.random_state), model.n_init):
        columns = penalty.mean.shape[-1]
        coefficients = initial_coefficients(rng, problem.bias_mean, columns, model.n_states)
        if penalty.kernel is not None:
            coefficients = with_default_kernel(coefficients, penalty.kernel)
        points.append((coefficients, *sticky_chain(model.n_states)))
    starts = [
        Params(*(jnp.asarray(x, model.dtype) for x in (feasible(weights, penalty), *chain[:2])))
        for weights, *chain in [*points, *given]
    ]
    starts = [start._replace(dispersion=problem.dispersion_centre) for start in starts]
    if problem.recording.transition_inputs is None:
        return starts
    nothing = jnp.zeros((model.n_states, problem.recording.transition_inputs.shape[1]), model.dtype)
    return [start._replace(transition_weights=nothing) for start in starts]
