"""How the parameters of networks are updated in training."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax

from onehotglm.errors import InvalidInputError

OPTIMISERS = ("adam", "sgd")


@dataclass(frozen=True)
class Optimiser:
    """How parameters are updated.

    Parameters
    ----------
    name : {"adam", "sgd"}
        The rule.
    learning_rate : float
        Step size.
    momentum : float
        Nesterov momentum of ``"sgd"``.
    clip_norm : float, optional
        Gradients of a larger global norm are scaled down to it.
    weight_decay : float
        Decoupled shrinkage of all matrices, per step and unit of learning rate; biases
        and timescales are left alone.

    Raises
    ------
    InvalidInputError
        If the rule is unknown, a number is out of range, or there is a momentum that
        ``"adam"`` would not look at.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    clip_norm: float | None = None
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in OPTIMISERS:
            raise InvalidInputError(
                f"optimiser {self.name!r} is unknown; choose one of {', '.join(OPTIMISERS)}"
            )
        for name in ("learning_rate", "clip_norm"):
            number = getattr(self, name)
            if number is not None and not 0 < number < np.inf:
                raise InvalidInputError(f"{name}={number}, expected a number above 0")
        if not 0 <= self.weight_decay < np.inf:
            raise InvalidInputError(f"weight_decay={self.weight_decay}, expected at least 0")
        if not 0 <= self.momentum < 1 or (self.momentum and self.name != "sgd"):
            raise InvalidInputError(
                f"momentum={self.momentum} of {self.name!r}, expected 0, or with 'sgd' a number "
                "below 1"
            )

    def build(self) -> optax.GradientTransformation:
        """Chain of optax transformations."""
        chain = []
        if self.clip_norm is not None:
            chain.append(optax.clip_by_global_norm(self.clip_norm))
        if self.name == "adam":
            chain.append(optax.scale_by_adam())
        elif self.momentum:
            chain.append(optax.trace(self.momentum, nesterov=True))
        if self.weight_decay:
            chain.append(optax.add_decayed_weights(self.weight_decay, mask=_matrices))
        return optax.chain(*chain, optax.scale(-self.learning_rate))


def _matrices(parameters: Any) -> Any:
    return jax.tree.map(lambda parameter: parameter.ndim >= 2, parameters)
