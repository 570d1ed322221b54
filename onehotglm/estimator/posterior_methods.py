"""What a variational fit offers beside the rest: its posterior, and draws from it."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.outputs import TYPES
from onehotglm.random_state import RandomState


class PosteriorMethods:
    """Methods that read the guide of a fitted model."""

    if TYPE_CHECKING:
        guide: str
        bias: str
        n_states: int
        guide_: Any
        basis_functions_: np.ndarray
        objective_path_: np.ndarray
        connection_type_proba_: np.ndarray | None
        neuron_ids_: np.ndarray

        def _precision(self) -> AbstractContextManager: ...

    def posterior(self, level: float = 0.9) -> xr.Dataset:
        """Means, standard deviations and intervals of what variational inference found.

        Parameters
        ----------
        level : float
            Probability inside the central intervals.

        Returns
        -------
        Dataset
            ``x_mean``, ``x_se`` (standard deviation), ``x_low`` and ``x_high`` for every x of
            `weights`, `connectivity`, `bias`, `transition_matrix`, `initial_proba`; with the
            one-hot prior also `connection_type_proba` and `shared_type_proba`.

        Raises
        ------
        InvalidInputError
            If the fit is not by ``method="vi"``, or `level` is not between 0 and 1.
        """
        from onehotglm.estimator.posterior import summary

        self._check_variational("posterior")
        if not 0 < level < 1:
            raise InvalidInputError(f"level={level!r}; expected a probability between 0 and 1")
        return summary(self, level).assign_coords(self._neuron_coords())

    @property
    def elbo_path_(self) -> np.ndarray:
        """Evidence lower bound after every block of variational steps, nats per bin."""
        try:
            self._check_variational("elbo_path_")
        except InvalidInputError as error:  # hasattr is to say no
            raise AttributeError(str(error)) from error
        return self.objective_path_

    def to_datatree(self, n_draws: int = 1000, random_state: RandomState = 0) -> xr.DataTree:
        """Draws from the approximate posterior, in the layout that ArviZ reads.

        Parameters
        ----------
        n_draws : int
        random_state : int, numpy Generator or RandomState, or jax key

        Returns
        -------
        DataTree
            Group ``posterior`` with `weights`, `connectivity`, `bias`, `transition_matrix`,
            `initial_proba` (chain, draw, ...) and, with the one-hot prior, `connection_type`.
            ArviZ takes it as it is from version 1 on; for older versions,
            ``arviz.InferenceData(posterior=tree["posterior"].to_dataset())``.

        Raises
        ------
        InvalidInputError
            If the fit is not by ``method="vi"``.
        """
        from onehotglm.estimator.posterior import draws

        self._check_variational("to_datatree")
        with self._precision():
            drawn = draws(self, n_draws, random_state)
        drawn = drawn.assign_coords(self._neuron_coords()).expand_dims(chain=[0])
        attrs = {"inference_library": "onehotglm", "guide": self.guide}
        return xr.DataTree.from_dict({"/posterior": drawn.assign_attrs(attrs)})

    def _check_variational(self, name: str) -> None:
        check_is_fitted(self)
        if self.guide_ is None:
            raise InvalidInputError(
                f"{name} needs the posterior, but this model was fitted by method='em'; fit with "
                "method='vi'"
            )

    def _neuron_coords(self) -> dict[str, Any]:
        coords: dict[str, Any] = dict.fromkeys(("neuron", "post", "pre"), self.neuron_ids_)
        if self.connection_type_proba_ is not None:
            coords["type"] = list(TYPES)
        return {name: (name, value) for name, value in coords.items()} | {
            "state": np.arange(self.n_states)
        }
