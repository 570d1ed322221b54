"""Small recordings and parameters, and the model once more in plain numpy."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from onehotglm.estimator.packing import Packed, pack
from onehotglm.estimator.validate import as_spikes
from onehotglm.inference.em import EMConfig
from onehotglm.inference.learning import Problem
from onehotglm.kernels.history import make_basis
from onehotglm.model.params import Params
from onehotglm.model.structure import make_structure
from onehotglm.model.transitions import TransitionPrior

N_STATES, N_NEURONS, SIZE = 2, 3, 40
BASIS = make_basis("raised_cosine", 4, 2)
N_COLUMNS = 1 + N_NEURONS * len(BASIS)
STAND_IN = np.array([0.3, 0.2, 0.4])
LINKS = {"softplus": lambda x: np.logaddexp(0, x), "exp": np.exp, "sigmoid": expit}


def make_counts(lengths=(70, 45), missing=0.0, seed=0) -> list[np.ndarray]:
    """Counts (time, neuron) of every session, some NaN."""
    rng = np.random.default_rng(seed)
    sessions = [rng.poisson(0.6, (n, N_NEURONS)).astype(float) for n in lengths]
    for counts in sessions:
        counts[rng.random(counts.shape) < missing] = np.nan
    return sessions


def packed(sessions, size: int = SIZE, dtype: str = "float64", n_lead: int = 0) -> Packed:
    """Sessions laid end to end; the first `n_lead` bins of each are lead-in."""
    spikes = as_spikes(sessions)
    spikes = spikes.assign_coords(time=spikes["time"] - n_lead)
    return pack(spikes, BASIS, STAND_IN, size, dtype)


@cache
def make_params(scale: float = 0.4, seed: int = 0) -> Params:
    """Random parameters, as numpy arrays."""
    rng = np.random.default_rng(seed)
    coefficients = scale * rng.normal(size=(N_STATES, N_NEURONS, N_COLUMNS))
    coefficients[..., 0] -= 0.5
    transition = 0.8 * np.eye(N_STATES) + 0.2 * rng.dirichlet(np.ones(N_STATES), N_STATES)
    return Params(coefficients, transition, rng.dirichlet(np.ones(N_STATES)))


def on_device(tree, dtype: str = "float64"):
    """The same tree of arrays, given to jax."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def design_of(counts: np.ndarray) -> np.ndarray:
    """Ones and histories of one session, shape (time, column), in loops."""
    filled = np.where(np.isnan(counts), STAND_IN, counts)
    design = np.zeros((len(counts), N_COLUMNS))
    design[:, 0] = 1
    for t in range(len(counts)):
        for m in range(N_NEURONS):
            for k, function in enumerate(BASIS):
                column = 1 + m * len(BASIS) + k
                design[t, column] = sum(
                    function[lag - 1] * filled[t - lag, m]
                    for lag in range(1, min(len(function), t) + 1)
                )
    return design


def log_likelihoods_of(counts: np.ndarray, coefficients: np.ndarray, link: str) -> np.ndarray:
    """Log-likelihood of every bin and state without ``log x!``, shape (time, state)."""
    rate = LINKS[link](np.einsum("tc,snc->tsn", design_of(counts), coefficients))
    return np.nansum(counts[:, None] * np.log(rate) - rate * ~np.isnan(counts)[:, None], axis=2)


def make_problem(sessions, link="softplus", exact=True, structure=(), **changes) -> Problem:
    """What `onehotglm.inference.learning` works on; `structure` as `make_structure` takes it."""
    values = {
        "recording": packed(sessions).recording,
        "config": EMConfig(SIZE, link, exact),
        "transition_prior": TransitionPrior(1.1, 0.0),
        "bias_mean": np.full(N_NEURONS, -0.5),
        "bias_precision": 0.01,
        "ridge": 1.0,
        "structure": make_structure(N_NEURONS, len(BASIS), N_STATES, **dict(structure)),
        "max_iter": 100,
        "tol": 1e-8,
        "on_step": lambda state: False,
    }
    return Problem(**values | changes)
