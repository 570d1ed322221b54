"""What a fit has to warn of."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from onehotglm.errors import ConvergenceWarning

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

# A state that holds less than this part of the bins is called empty.
_EMPTY = 1e-3


def warn_of_fit(model: "OneHotHMMGLM") -> None:
    """Warn of a fit that was cut off, and of empty states.

    To be called in the method that the user called: the warnings name the line of that call.
    """
    for message in _messages(model):
        warnings.warn(message, ConvergenceWarning, stacklevel=3)


def _messages(model: "OneHotHMMGLM") -> list[str]:
    messages = []
    if model.stop_reason_ == "max_iter":
        messages.append(
            f"{model.method.upper()} stopped after max_iter={model.max_iter} "
            f"{'steps' if model.method == 'em' else 'blocks'} before it converged; raise "
            "max_iter or tol"
        )
    elif model.stop_reason_ == "max_rounds":
        messages.append(
            "the prior was still moving when its learning was cut off; read small "
            "differences between connections with care"
        )
    empty = np.flatnonzero(model.occupancy_ < _EMPTY * model.occupancy_.sum())
    if empty.size:
        messages.append(
            f"states {empty.tolist()} are empty; the data do not call for "
            f"n_states={model.n_states}, so fit fewer"
        )
    return messages
