"""From a fit by EM to the first guide of variational inference."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from onehotglm.inference.guides import RANK, GuideParams, Marginals
from onehotglm.inference.learning import Learned, Problem
from onehotglm.inference.sites import Sites
from onehotglm.model.priors import GaussianPrior, OneHotPrior, TypePosterior

# No type starts less probable than this part of even odds: it could not come back.
_LEAST_TYPE = 3e-4
_SMALLEST_SCALE = 1e-3


def warm_start(
    problem: Problem, learned: Learned, guide: str, rng: np.random.Generator
) -> tuple[GuideParams, Any]:
    """Guide with EM's modes and Laplace variances, and the anchor that it is relative to.

    Parameters
    ----------
    problem : Problem
    learned : Learned
        By EM, on this problem.
    guide : {"mean_field", "low_rank", "structured"}
    rng : numpy Generator

    Returns
    -------
    params : GuideParams
    anchor : Marginals or Sites
    """
    marginals, anchor, correlation = (
        _sites(problem, learned)
        if guide == "structured" and isinstance(learned.prior, GaussianPrior)
        else _marginals(learned, guide, rng)
    )
    accepted, occupancy = learned.state.accepted, np.asarray(learned.state.occupancy, float)
    concentration, stickiness, _ = problem.transition_prior
    rows = occupancy[:, None] * np.asarray(accepted.transition, float) + concentration
    rows = rows + stickiness * np.eye(len(rows))
    n_sessions = float(np.asarray(problem.recording.starts).sum())
    first = n_sessions * np.asarray(accepted.initial, float) + concentration
    dtype = problem.recording.counts.dtype

    def given(tree: Any) -> Any:
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)

    params = GuideParams(
        marginals=given(marginals),
        correlation=given(correlation),
        transition=given(np.log(rows)),
        initial=given(np.log(first)),
        hyper=given(_hyper(learned.prior)),
    )
    return params, given(anchor)


def _marginals(
    learned: Learned, guide: str, rng: np.random.Generator
) -> tuple[Marginals, Marginals, np.ndarray | None]:
    """Marginals at EM's modes, their anchor, and correlations, in numpy."""
    covariance = _laplace_covariance(learned)
    log_scale: Any = 0.5 * np.log(np.diagonal(covariance, axis1=-2, axis2=-1))
    coefficients: Any = np.asarray(learned.state.accepted.coefficients, float)
    anchor: Any = Marginals(
        coefficients[..., 0],
        log_scale[..., 0],
        *(
            (coefficients[..., 1:], log_scale[..., 1:], None)
            if learned.types is None
            else _slabs(learned.types)
        ),
    )
    here = jax.tree.map(np.zeros_like, anchor)._replace(type_logits=anchor.type_logits)
    return here, anchor, _correlation(guide, covariance, rng)


def _sites(problem: Problem, learned: Learned) -> tuple[Sites, Sites, None]:
    """Sites that give EM's modes back at EM's hyperparameters, and their anchor, in numpy."""
    penalty = jax.tree.map(lambda x: np.asarray(x, float), learned.penalty)
    information = np.stack([np.asarray(x, float) for x in learned.state.curvature.information])
    size = information.shape[-1]
    jitter = 1e-6 * np.trace(information, axis1=-2, axis2=-1) / size + 1e-8
    information = information + jitter[..., None, None] * np.eye(size)
    if penalty.roughness is not None:  # a factor like the likelihood, and no part of the prior
        information = information + penalty.roughness
    coefficients = np.asarray(learned.state.accepted.coefficients, float)
    centre = np.zeros_like(penalty.mean)
    centre[..., 0] = problem.bias_mean
    shift = np.einsum("sncd,snd->snc", information, coefficients - centre)
    shift += penalty.precision * (coefficients - penalty.mean)
    factor: Any = np.linalg.cholesky(information)
    anchor: Any = Sites(shift, factor)
    return jax.tree.map(np.zeros_like, anchor), anchor, None


def _laplace_covariance(learned: Learned) -> np.ndarray:
    """Covariances of every regression given the states; what is held at zero decoupled."""
    penalty = learned.penalty
    rough = 0.0 if penalty.roughness is None else np.asarray(penalty.roughness, float)
    blocks = []
    for information, precision, free in zip(
        learned.state.curvature.information, penalty.precision, penalty.free, strict=True
    ):
        free = np.asarray(free)
        both = free[..., :, None] & free[..., None, :]
        hessian = np.where(both, np.asarray(information, float) + rough, 0.0)
        jitter = 1e-6 * np.trace(hessian, axis1=-2, axis2=-1)[:, None] / hessian.shape[-1] + 1e-8
        diagonal = np.where(free, np.asarray(precision, float) + jitter, 1.0)
        blocks.append(np.linalg.inv(hessian + diagonal[..., None] * np.eye(hessian.shape[-1])))
    return np.stack(blocks)


def _slabs(types: TypePosterior) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Location and log scale of both slabs (side, state, post, pre), and logits of types."""
    mean = np.abs(types.mean[[0, 2], ..., 0])
    variance = types.second_moment[[0, 2], ..., 0] - mean**2
    scale = np.sqrt(np.maximum(variance, _SMALLEST_SCALE**2))
    proba = (1 - _LEAST_TYPE) * types.type_proba + _LEAST_TYPE / 3
    return mean, np.log(scale), np.log(proba)


def _correlation(guide: str, covariance: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    if guide == "mean_field":
        return None
    if guide == "low_rank":
        return 0.05 * rng.normal(size=(*covariance.shape[:-1], RANK))
    scale = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    factor = np.linalg.cholesky(covariance / (scale[..., :, None] * scale[..., None, :]))
    return np.tril(factor / np.diagonal(factor, axis1=-2, axis2=-1)[..., None], -1)


def _hyper(prior: GaussianPrior | OneHotPrior | None) -> dict:
    """Hyperparameters at EM's values, with rough scales."""
    if isinstance(prior, GaussianPrior):
        log_variance = 2 * np.log(prior.sd).reshape(len(prior.sd), -1)
        return {
            "mean_sd": _around(np.log(prior.mean_sd), 0.1),
            "variance": _around(log_variance, 0.5),
        }
    if isinstance(prior, OneHotPrior):
        n_connections = np.prod(prior.type_proba.shape[:2])
        share = prior.type_proba.mean((0, 1))
        return {
            "type_share": np.log(1.0 + n_connections * share),
            "slab_mean": _around(prior.slab_mean[:, 0], 0.1),
            "slab_sd": _around(np.log(prior.slab_sd[:, 0]), 0.2),
        }
    return {}


def _around(loc: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    return loc, np.full_like(loc, np.log(scale))
