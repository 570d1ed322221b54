"""The two promises of every network: it generates spikes, and it is fitted to spikes.

A `Generator` samples spikes whose wiring is known.  A `Decoder` predicts each bin's
rates from the bins before it; all decoders are scored on the same bins in the same
unit, and each has a connectivity (post, pre).
"""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.scoring import bits_per_spike, poisson_log_likelihood

DIMS = ("session", "time", "neuron")


class Generator(ABC):
    """A network that generates spikes and knows its wiring."""

    @abstractmethod
    def sample(
        self, n_sessions: int = 1, n_time_bins: int = 1000, random_state: int = 0
    ) -> xr.Dataset:
        """Sample spikes.

        Parameters
        ----------
        n_sessions, n_time_bins : int
            Size of the sample.
        random_state : int or key
            Seed.

        Returns
        -------
        Dataset
            ``spikes`` (session, time, neuron) in counts, ``rates`` (session, time,
            neuron) in Hz, the true ``connectivity`` (post, pre), ``states`` (session,
            time) where the network has them; attribute ``bin_size`` in seconds.
        """


class Decoder(BaseEstimator, ABC):
    """A model that predicts the next bin's rates from the spikes so far.

    A subclass sets in `fit`, beside its own results:

    Attributes
    ----------
    mean_rates_ : DataArray, dims (neuron,)
        Of the training data by `onehotglm.estimator.scoring.mean_rates`, Hz: the baseline
        of `score`.
    connectivity_ : DataArray, dims (post, pre)
        Effect of a neuron's spikes on another's rate.
    """

    mean_rates_: xr.DataArray
    connectivity_: xr.DataArray

    @abstractmethod
    def fit(self, spikes: xr.DataArray) -> Self:
        """Fit to spikes.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts, NaN where missing; lead-in bins (negative time) are read, not modelled.

        Returns
        -------
        Decoder
            The object itself.
        """

    @abstractmethod
    def predict_rates(self, spikes: xr.DataArray) -> xr.DataArray:
        """Rates of every bin given the bins before it.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts of the neurons of the fit.

        Returns
        -------
        DataArray, dims (session, time, neuron)
            Hz; lead-in bins (negative time) are left out.
        """

    @property
    @abstractmethod
    def n_parameters_(self) -> int:
        """Number of fitted parameters."""

    @property
    def readings_(self) -> dict[str, xr.DataArray]:
        """Every connectivity (post, pre) that the fit offers, by what it is.

        The first is ``"effective"``, the mean Jacobian that all decoders have.  A model
        with couplings of its own, which tell a spike's effect from what it says about
        hidden states, adds ``"couplings"``: these are then held against a wiring.
        """
        return {"effective": self.connectivity_}

    def log_likelihood(self, spikes: xr.DataArray) -> xr.DataArray:
        """Log-likelihood of each session under the predicted rates.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts; missing and lead-in bins are not scored.

        Returns
        -------
        DataArray, dims (session,)
            Nats.
        """
        return poisson_log_likelihood(self.predict_rates(spikes), spikes)

    def score(self, spikes: xr.DataArray, y: None = None) -> float:
        """Bits per spike over the training mean rates.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Held-out counts.
        y : None
            Ignored; scikit-learn passes it.

        Returns
        -------
        float
            0 for the mean rates of the training data; higher is better.  nan where
            there is no spike.
        """
        del y
        return bits_per_spike(self.log_likelihood(spikes), spikes, self.mean_rates_)


def check_spikes(spikes: xr.DataArray, neurons: xr.DataArray | None = None) -> xr.DataArray:
    """Spikes with their dimensions in order, if they are what a decoder takes.

    Parameters
    ----------
    spikes : DataArray, dims (session, time, neuron)
        Counts, NaN where missing, with attribute ``bin_size`` in seconds.
    neurons : DataArray, dims (neuron,), optional
        Something per neuron of the fit, whose ids must be those of the spikes, and whose
        attribute ``bin_size``, if it has one, theirs.

    Returns
    -------
    DataArray, dims (session, time, neuron)

    Raises
    ------
    InvalidInputError
        If the type, dimensions, bin size, values or neurons do not fit.
    """
    if not isinstance(spikes, xr.DataArray) or set(spikes.dims) != set(DIMS):
        got = spikes.dims if isinstance(spikes, xr.DataArray) else type(spikes).__name__
        raise InvalidInputError(
            f"spikes are {got}, expected an xarray.DataArray with dims {DIMS}; "
            "load_nwb and simulate_population return one"
        )
    if not all(spikes.shape):
        raise InvalidInputError(
            f"spikes have sizes {dict(spikes.sizes)}, expected at least one session, bin and "
            "neuron; look at what the recording was selected by"
        )
    if not spikes.attrs.get("bin_size", 0) > 0:
        raise InvalidInputError(
            f"spikes have bin_size {spikes.attrs.get('bin_size')}, expected seconds; set it with "
            "spikes.attrs['bin_size'] = 0.02"
        )
    for value in (float(spikes.min()), float(spikes.max())):
        if value < 0 or value == np.inf:
            raise InvalidInputError(
                f"spikes hold {value:g}, expected finite counts of at least 0; NaN marks missing "
                "bins"
            )
    if neurons is not None and not np.array_equal(spikes["neuron"], neurons["neuron"]):
        raise InvalidInputError(
            f"spikes are of the neurons {spikes['neuron'].values}, the fit of "
            f"{neurons['neuron'].values}; select the same ones in the same order"
        )
    fitted = spikes.attrs["bin_size"] if neurons is None else neurons.attrs.get("bin_size")
    if fitted is not None and not np.isclose(fitted, spikes.attrs["bin_size"]):
        raise InvalidInputError(
            f"spikes are in bins of {spikes.attrs['bin_size']:g} s, the fit of {fitted:g} s; bin "
            "them alike"
        )
    return spikes.transpose(*DIMS)
