"""How a fitted model is kept and shown: as a Dataset, a file, figures and HTML."""

import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from onehotglm.estimator import outputs
from onehotglm.estimator.fitted import FittedModel
from onehotglm.random_state import RandomState


class PresentableModel(FittedModel):
    """The methods that hand out all that was fitted; subclasses as those of `FittedModel`."""

    if TYPE_CHECKING:
        random_state: RandomState

    def to_dataset(self) -> xr.Dataset:
        """All fitted arrays, labelled, with the parameters as attributes."""
        check_is_fitted(self)
        self._check_whole("to_dataset")
        return outputs.to_dataset(self)

    def save(self, path: str | os.PathLike) -> Path:
        """Write the fit as a netCDF file, see `onehotglm.io.checkpoint.save_dataset`."""
        from onehotglm.io.checkpoint import save_dataset

        dataset = self.to_dataset()
        if not isinstance(self.random_state, int | np.integer | None):
            dataset.attrs["random_state"] = None  # a generator's state is no result
        return save_dataset(dataset, path, "fit")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a fit that `save` wrote.

        Raises
        ------
        DataFileError
            If the file is missing, damaged, not a fit, or of another format version.
        """
        from onehotglm.io.checkpoint import load_dataset

        return outputs.from_dataset(cls(), load_dataset(path, "fit"))

    def plot_connectivity(self, **options: Any) -> Any:
        """Couplings per state beside the shared prior, see `onehotglm.plots.plot_connectivity`."""
        from onehotglm.plots import plot_connectivity

        return plot_connectivity(self.to_dataset(), **options)

    def plot_states(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None, **options: Any
    ) -> Any:
        """Raster, posterior and states, see `onehotglm.plots.plot_states`."""
        from onehotglm.plots import plot_states

        spikes = self._spikes(X)
        given = {"covariates": covariates, "transition_inputs": transition_inputs}
        states = self.predict_states(spikes, **given)
        return plot_states(spikes, states, self.predict_proba(spikes, **given), **options)

    def _repr_html_(self) -> str:
        if not hasattr(self, "weights_"):
            return f"<code>{escape(repr(self))}</code> (not fitted)"
        return outputs.to_html(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        # Notebooks ask for this first, and scikit-learn's would show its diagram.
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
