"""The decoder that every other one must beat: constant rates."""

from typing import Self

import numpy as np
import xarray as xr

from onehotglm.estimator.scoring import mean_rates, modelled
from onehotglm.networks.base import Decoder, check_spikes


class HomogeneousPoisson(Decoder):
    """Every neuron fires at its mean rate, whatever happened before.

    Attributes
    ----------
    mean_rates_ : DataArray, dims (neuron,)
        Hz.
    connectivity_ : DataArray, dims (post, pre)
        Zero.

    Examples
    --------
    >>> from onehotglm.simulate import simulate_population
    >>> spikes = simulate_population(n_neurons=4, n_sessions=2, n_time_bins=200)["spikes"]
    >>> abs(round(HomogeneousPoisson().fit(spikes).score(spikes), 6))
    0.0
    """

    def fit(self, spikes: xr.DataArray) -> Self:
        """Take the mean rates.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts, NaN where missing.

        Returns
        -------
        HomogeneousPoisson
            The object itself.
        """
        spikes = check_spikes(spikes)
        self.mean_rates_ = mean_rates(spikes)
        neurons = spikes["neuron"].values
        self.connectivity_ = xr.DataArray(
            np.zeros((len(neurons), len(neurons))),
            dims=("post", "pre"),
            coords={"post": neurons, "pre": neurons},
            attrs={"units": "Hz per spike"},
        )
        return self

    def predict_rates(self, spikes: xr.DataArray) -> xr.DataArray:
        """Mean rates in every bin.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts.

        Returns
        -------
        DataArray, dims (session, time, neuron)
            Hz.
        """
        scored = modelled(check_spikes(spikes, self.mean_rates_))
        rates = np.broadcast_to(self.mean_rates_.values, scored.shape)
        return scored.copy(data=rates).assign_attrs(units="Hz")

    @property
    def n_parameters_(self) -> int:
        """Number of fitted parameters: one rate per neuron."""
        return self.mean_rates_.sizes["neuron"]
