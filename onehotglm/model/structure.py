"""Which couplings there are, and which of them move together or have a given sign."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


class Structure(NamedTuple):
    """What is known of the couplings before any data.

    Attributes
    ----------
    free : bool array, shape (post, pre)
        False where a coupling is excluded.
    diagonal : bool array, shape (post, pre)
        Where a neuron meets itself.
    apart : bool
        Self-histories stand outside the couplings' prior.
    own_precision : float
        Precision of their prior around zero if they do.
    tied : int array, shape (post, tied), or None
        Columns of each neuron's regression (bias 0, weights or strengths from 1 on) that all
        states share.
    dale : int array, shape (pre,), or None
        Where Dale's law holds: -1 or 1 where a neuron's sign is known, else 0.
    sign : int array, shape (pre,), or None
        Signs that every step has to keep; 0 binds to none.
    shared_kernel : bool
        Weights are a strength per state times a kernel of the connection.
    smoothness : float
        Precision of the second differences of weights over lags.
    """

    free: Flags
    diagonal: Flags
    apart: bool = False
    own_precision: float = 1.0
    tied: NDArray[np.int_] | None = None
    dale: NDArray[np.int_] | None = None
    sign: NDArray[np.int_] | None = None
    shared_kernel: bool = False
    smoothness: float = 0.0

    @property
    def own(self) -> Flags:
        """Self-histories that stand apart, shape (post, pre)."""
        return self.diagonal & self.apart

    @property
    def under_prior(self) -> Flags:
        """Couplings that the prior is learned from and holds for, shape (post, pre)."""
        return self.free & ~self.own

    @property
    def synapse(self) -> Flags:
        """Couplings between different neurons, shape (post, pre): those under Dale's law."""
        return self.free & ~self.diagonal

    def with_sign(self, sign: NDArray[np.int_]) -> "Structure":
        """Bind every step to signs (pre,), unless none is known."""
        return self._replace(sign=sign if sign.any() else None)


def make_structure(
    n_neurons: int,
    n_basis: int,
    n_states: int,
    *,
    neurons: NDArray[np.int_] | slice = slice(None),
    self_history: str = "coupling",
    own_precision: float = 1.0,
    shared_bias: bool = False,
    dale: NDArray[np.int_] | None = None,
    n_shared_covariates: int = 0,
    shared_kernel: bool = False,
    smoothness: float = 0.0,
) -> Structure:
    """Structure of all couplings among `n_neurons` neurons.

    Parameters
    ----------
    n_neurons, n_basis, n_states : int
    neurons : int array or slice
        Which of them are modelled, and so postsynaptic.
    self_history : {"coupling", "per_state", "shared", "none"}
        Whether a neuron's own past is a coupling like any other, stands apart (one per
        state, or one for all states), or is excluded.
    own_precision : float
        Precision of the prior of a self-history that stands apart.
    shared_bias : bool
    dale : int array, shape (pre,), optional
        Signs that are known, 0 for those that are not, where Dale's law holds.
    n_shared_covariates : int
        Covariates, the last columns of all, whose effect all states share.
    shared_kernel : bool
    smoothness : float

    Returns
    -------
    Structure

    Examples
    --------
    >>> make_structure(2, 2, 3, self_history="shared", shared_bias=True).tied
    array([[0, 1, 2],
           [0, 3, 4]])
    """
    diagonal = np.eye(n_neurons, dtype=bool)[neurons]
    columns = []
    if shared_bias:
        columns.append(np.zeros((len(diagonal), 1), int))
    per_pair = 1 if shared_kernel else n_basis
    if self_history == "shared":
        own = 1 + np.arange(n_neurons * per_pair).reshape(n_neurons, per_pair)
        columns.append(own[neurons])
        # A tied coefficient stands in every state's penalty.
        own_precision = own_precision / n_states
    if n_shared_covariates:
        last = 1 + n_neurons * per_pair + np.arange(n_shared_covariates)
        columns.append(np.tile(last, (len(diagonal), 1)))
    return Structure(
        free=~diagonal if self_history == "none" else np.ones_like(diagonal),
        diagonal=diagonal,
        apart=self_history in ("per_state", "shared"),
        own_precision=own_precision,
        tied=np.concatenate(columns, axis=1) if columns else None,
        dale=dale,
        shared_kernel=shared_kernel,
        smoothness=smoothness,
    )
