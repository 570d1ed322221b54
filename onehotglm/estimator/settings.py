"""Checks of the estimator's parameters, and the choices that follow from them."""

import os
from typing import Any

import numpy as np

from onehotglm.errors import InvalidInputError
from onehotglm.kernels.emissions import ALL_LINKS
from onehotglm.kernels.history import BASES
from onehotglm.kernels.observations import OBSERVATIONS, links_for

PRIORS = ("none", "gaussian", "one-hot")
# Parameters that say how a fit is run and kept; its result does not depend on them.
RUN_ONLY = ("checkpoint", "resume")
GUIDES = ("mean_field", "low_rank", "structured")
# Multiply-adds of the exact information per EM step up to which it is taken.
EXACT_LIMIT = 3e10

_CHOICES = {
    "prior": PRIORS,
    "link": tuple(ALL_LINKS),
    "observation": tuple(OBSERVATIONS),
    "basis": BASES,
    "method": ("em", "vi"),
    "guide": GUIDES,
    "kernel": ("per_state", "shared"),
    "bias": ("per_state", "shared"),
    "resume": (True, False),
    "self_history": ("coupling", "per_state", "shared", "none"),
    "covariate_effect": ("per_state", "shared"),
    "dtype": ("float32", "float64"),
}
# Values of options that method="vi" fits.
_ONLY_EM = {
    "observation": ("poisson", "bernoulli"),
    "self_history": ("coupling", "none"),
    "dale": (None,),
    "kernel": ("per_state",),
}
_COUNTS = {"n_states": 1, "n_lags": 1, "n_init": 1, "max_iter": 1}
_NUMBERS = {
    "ridge": 0.0,
    "transition_concentration": 1.0,
    "stickiness": 0.0,
    "transition_ridge": 0.0,
    "tol": 0.0,
    "smoothness": 0.0,
}


def check_settings(parameters: dict[str, Any]) -> None:
    """Raise unless the constructor's parameters make sense.

    Raises
    ------
    InvalidInputError
        Names the parameter, what it was and what it may be.
    """
    for name, choices in _CHOICES.items():
        if parameters[name] not in choices:
            raise InvalidInputError(
                f"{name}={parameters[name]!r}; choose one of {', '.join(map(repr, choices))}"
            )
    link, observation = parameters["link"], parameters["observation"]
    if link not in links_for(observation):
        raise InvalidInputError(
            f"link={link!r} with observation={observation!r}: its values cannot all be means of "
            f"such data; choose one of {', '.join(map(repr, links_for(observation)))}"
        )
    for name, smallest in _COUNTS.items():
        value = parameters[name]
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
            raise InvalidInputError(f"{name}={value!r}; expected an integer of at least {smallest}")
    for name, low in _NUMBERS.items():
        _check_number(name, parameters[name], low)
    _check_signs(parameters["dale"])
    _check_ridges(parameters)
    _check_checkpoint(parameters["checkpoint"], parameters["resume"])
    _check_kernel(parameters)
    check_variational(parameters)
    n_basis = parameters["n_basis"]
    if n_basis is not None:
        if parameters["basis"] != "raised_cosine":
            raise InvalidInputError(
                f"n_basis={n_basis!r} applies to basis='raised_cosine' only; leave it out with "
                f"basis={parameters['basis']!r}"
            )
        if not isinstance(n_basis, int | np.integer) or not 1 <= n_basis <= parameters["n_lags"]:
            raise InvalidInputError(
                f"n_basis={n_basis!r}; expected an integer between 1 and n_lags"
            )


def _check_checkpoint(checkpoint: Any, resume: bool) -> None:
    if checkpoint is None:
        if resume:
            raise InvalidInputError("resume=True needs the file to go on from: checkpoint=PATH")
    elif not isinstance(checkpoint, str | os.PathLike) or not os.fspath(checkpoint):
        raise InvalidInputError(f"checkpoint={checkpoint!r}; expected the path of a file, or None")


def check_variational(parameters: dict[str, Any]) -> None:
    """Options of variational inference, and those that it does not go with."""
    size, method = parameters["batch_size"], parameters["method"]
    if size is not None and (
        isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1
    ):
        raise InvalidInputError(
            f"batch_size={size!r}; expected None or an integer of at least 1 (sessions per step)"
        )
    if method != "vi":
        return
    for name, plain in _ONLY_EM.items():
        value = parameters[name]
        if not any(value is x or (isinstance(x, str) and value == x) for x in plain):
            raise InvalidInputError(
                f"{name}={value!r} is fitted by method='em' only; with method='vi' leave it at "
                f"{' or '.join(map(repr, plain))}"
            )
    if parameters["prior"] == "none" and parameters["ridge"] == 0:
        raise InvalidInputError(
            "ridge=0 is no prior that method='vi' could draw from; take a ridge above 0"
        )
    n_basis = _n_functions(parameters)
    if parameters["prior"] == "one-hot" and n_basis > 1:
        raise InvalidInputError(
            f"prior='one-hot' has one strength per connection under method='vi', but "
            f"basis={parameters['basis']!r} has {n_basis} functions; use basis='exponential', "
            "prior='gaussian' or method='em'"
        )


def _check_ridges(parameters: dict[str, Any]) -> None:
    """Precisions that are those of the weights where they are not given."""
    for name in ("self_ridge", "covariate_ridge"):
        if parameters[name] is not None:
            _check_number(name, parameters[name], 0.0)
    self_ridge, self_history = parameters["self_ridge"], parameters["self_history"]
    if self_ridge is not None and self_history not in ("per_state", "shared"):
        raise InvalidInputError(
            f"self_ridge={self_ridge!r} applies to self_history='per_state' and 'shared' only; "
            f"leave it out with self_history={self_history!r}"
        )


def _n_functions(parameters: dict[str, Any]) -> int:
    """Functions of the basis."""
    cosines = parameters["n_basis"] or min(parameters["n_lags"], 3)
    functions = {"exponential": 1, "lags": parameters["n_lags"], "raised_cosine": cosines}
    return functions[parameters["basis"]]


def _check_kernel(parameters: dict[str, Any]) -> None:
    for name, plain in (("kernel", "per_state"), ("smoothness", 0.0)):
        if parameters[name] != plain and _n_functions(parameters) == 1:
            raise InvalidInputError(
                f"{name}={parameters[name]!r} needs a basis of several functions; use "
                "basis='raised_cosine' or 'lags' with several lags"
            )
    if parameters["smoothness"] and parameters["n_lags"] < 3:
        raise InvalidInputError(
            f"smoothness={parameters['smoothness']!r} with n_lags={parameters['n_lags']}; second "
            "differences take three lags at least"
        )
    if parameters["kernel"] == "shared" and parameters["dale"] is not None:
        raise InvalidInputError(
            "kernel='shared' and dale=... cannot be combined: the law is about every basis "
            "function, and a shared kernel may have both signs; use kernel='per_state'"
        )


def _check_signs(dale: Any) -> None:
    if dale is None or (isinstance(dale, str) and dale == "infer"):
        return
    signs = np.asarray(dale)
    if signs.ndim != 1 or not np.isin(signs, (-1, 0, 1)).all():
        raise InvalidInputError(
            f"dale={dale!r}; expected None, 'infer', or for every neuron -1 (inhibitory), "
            "1 (excitatory) or 0 (to be inferred)"
        )


def known_signs(dale: Any, n_neurons: int) -> np.ndarray | None:
    """Signs of presynaptic neurons, 0 where they are to be inferred; None without Dale's law.

    Raises
    ------
    InvalidInputError
        If there are not as many signs as neurons.
    """
    if dale is None:
        return None
    if isinstance(dale, str):
        return np.zeros(n_neurons, int)
    if len(dale) != n_neurons:
        raise InvalidInputError(
            f"dale holds {len(dale)} signs for {n_neurons} neurons; expected one for each, in "
            "the order of the neurons"
        )
    return np.asarray(dale, int)


def _check_number(name: str, value: Any, low: float) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and np.isfinite(value) and value >= low):
        raise InvalidInputError(f"{name}={value!r}; expected a number of at least {low:g}")


def affordable(n_time: int, n_states: int, n_neurons: int, n_columns: int) -> bool:
    """Whether an EM step can take the exact Fisher information of every neuron.

    Its cost is ``n_time * n_states * n_neurons * n_columns^2 / 2`` multiply-adds; beyond
    3e10 (about a second on one core) the neurons of a state share the shape of theirs.
    """
    return n_time * n_states * n_neurons * n_columns**2 / 2 <= EXACT_LIMIT
