"""The posterior of a small recording by NUTS, to check approximations against."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from onehotglm.estimator.exogenous import EXOGENOUS
from onehotglm.estimator.monitor import Monitor
from onehotglm.estimator.problem import make_problem
from onehotglm.estimator.settings import check_variational
from onehotglm.estimator.variational import constants_of, emission_of, shape_of
from onehotglm.inference.nuts import sample_posterior
from onehotglm.model.params import Params
from onehotglm.random_state import RandomState, jax_key, numpy_generator

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM


def nuts(
    model: "OneHotHMMGLM",
    X: Any,
    *,
    n_warmup: int = 500,
    n_draws: int = 1000,
    n_chains: int = 2,
    random_state: RandomState = 0,
) -> xr.DataTree:
    """Draws from the posterior by the No-U-Turn sampler (Hoffman and Gelman 2014).

    Exact up to Monte-Carlo error, and slow: for some thousand bins of a few neurons.
    Chains start at the fit and keep its order of states.

    Parameters
    ----------
    model : OneHotHMMGLM
        Fitted to `X`, by either method; settings that variational inference refuses are
        refused here as well.
    X : as in `OneHotHMMGLM.fit`
    n_warmup, n_draws, n_chains : int
    random_state : int, numpy Generator or RandomState, or jax key

    Returns
    -------
    DataTree
        As `OneHotHMMGLM.to_datatree`.

    Raises
    ------
    InvalidInputError
        If the model has settings that have no such posterior.
    """
    check_variational(model.get_params() | {"method": "vi"})
    for variables in EXOGENOUS:
        variables.refuse(model, "nuts")
    _, packed = model._input(X)
    with model._precision():
        problem = make_problem(model, packed, Monitor(0.0, 1, progress=False))
        start = model._params()
        if model.connection_type_ is not None:
            present = np.repeat(model.connection_type_ != 0, problem.n_basis, axis=-1)
            kept = jnp.where(jnp.asarray(present), start.coefficients[..., 1:], 0.0)
            kept = jnp.concatenate([start.coefficients[..., :1], kept], axis=-1)
            start = Params(kept, start.transition, start.initial)
        draws = sample_posterior(
            jax_key(numpy_generator(random_state)),
            packed.recording,
            constants_of(problem),
            shape_of(model, problem),
            start,
            emission=emission_of(problem),
            n_warmup=n_warmup,
            n_draws=n_draws,
            n_chains=n_chains,
        )
    return _label(model, {name: np.asarray(value) for name, value in draws.items()})


def _label(model: "OneHotHMMGLM", draws: dict[str, np.ndarray]) -> xr.DataTree:
    connection = ("chain", "draw", "state", "post", "pre")
    coefficients = draws["coefficients"]
    n_basis = len(model.basis_functions_)
    weights = coefficients[..., 1:].reshape(*coefficients.shape[:-1], -1, n_basis)
    variables = {
        "bias": (("chain", "draw", "state", "neuron"), coefficients[..., 0]),
        "weights": ((*connection, "basis"), weights),
        "connectivity": (connection, weights @ model.basis_functions_.sum(1)),
        "transition_matrix": (("chain", "draw", "state", "next_state"), draws["transition"]),
        "initial_proba": (("chain", "draw", "state"), draws["initial"]),
    }
    if model.prior == "one-hot":
        variables["connection_type"] = (connection, np.sign(weights[..., 0]).astype(int))
    n_chains, n_draws = coefficients.shape[:2]
    coords = {"chain": np.arange(n_chains), "draw": np.arange(n_draws)}
    dataset = xr.Dataset(variables, coords | model._neuron_coords())
    return xr.DataTree.from_dict(
        {"/posterior": dataset.assign_attrs(inference_library="onehotglm", sampler="NUTS")}
    )
