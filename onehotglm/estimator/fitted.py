"""What a fitted model does: decode, predict, score, sample."""

from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.exogenous import COVARIATES, TRANSITION_INPUTS
from onehotglm.estimator.packing import Packed, pack, unpack
from onehotglm.estimator.posterior_methods import PosteriorMethods
from onehotglm.estimator.sampling import sample
from onehotglm.estimator.scoring import score_bits
from onehotglm.estimator.validate import as_spikes, check_neurons
from onehotglm.inference import decode
from onehotglm.inference.statistics import chunk_size
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model.params import Params, from_weights
from onehotglm.random_state import RandomState


class FittedModel(PosteriorMethods, BaseEstimator):
    """The methods that need fitted attributes; subclasses add the constructor and `fit`.

    Subclasses set the parameters `n_states`, `link`, `observation`, `n_lags`, `dtype` and
    `bin_size`, and
    the fitted attributes that `onehotglm.estimator.outputs` lists.
    """

    # Neurons that are modelled, where others only serve as history (`IndependentChains`).
    _modelled: np.ndarray | slice = slice(None)
    # Of observations that have them.
    dispersion_: np.ndarray | None = None
    baseline_variance_: np.ndarray | None = None
    # With covariates.
    covariate_weights_: np.ndarray | None = None
    covariate_names_: np.ndarray | None = None
    covariate_mean_: np.ndarray | None = None
    covariate_sd_: np.ndarray | None = None
    # With inputs that drive transitions.
    transition_weights_: np.ndarray | None = None
    transition_input_names_: np.ndarray | None = None
    transition_input_mean_: np.ndarray | None = None
    transition_input_sd_: np.ndarray | None = None

    # ---------------------------------------------------------------------- predicting

    def predict_states(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Most likely state sequence of every session (Viterbi).

        Parameters
        ----------
        X, covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray of int, dims (session, time)
            -1 in padding.
        """
        spikes, packed = self._input(X, covariates, transition_inputs)
        with self._precision():
            path = np.asarray(
                decode.most_likely_path(self._params(), packed.recording, **self._options)
            )
        return self._output(spikes, packed, path, -1)

    def predict(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Alias of `predict_states`, as scikit-learn calls it."""
        return self.predict_states(X, covariates=covariates, transition_inputs=transition_inputs)

    def predict_proba(
        self, X: Any, *, causal: bool = False, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Posterior of the states given all bins, or only those so far.

        Parameters
        ----------
        X, covariates, transition_inputs : as in `fit`
        causal : bool
            Condition each bin's state on this bin and those before it, as
            `onehotglm.StateDecoder` does on line; in float64 as there.

        Returns
        -------
        DataArray, dims (session, time, state)
            NaN in padding.
        """
        if causal and self.dtype != "float64":
            precise = copy(self).set_params(dtype="float64")
            return precise.predict_proba(
                X, causal=True, covariates=covariates, transition_inputs=transition_inputs
            )
        spikes, packed = self._input(X, covariates, transition_inputs)
        with self._precision():
            arguments = (self._params(), packed.recording)
            if causal:
                posterior = decode.filtered(*arguments, **self._options).probabilities
            else:
                posterior = decode.smoothed(*arguments, **self._options).marginals
        out = np.asarray(posterior)
        return self._output(spikes, packed, out, np.nan, state=np.arange(self.n_states))

    def predict_rates(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """One-step-ahead rates (of signals: means), given the bins before.

        Parameters
        ----------
        X, covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray, dims (session, time, neuron)
            Hz (counts per bin if the bin size is not known), or the signals' own unit; NaN
            in padding, and in bins without counts where covariates are missing.
        """
        spikes, packed = self._input(X, covariates, transition_inputs)
        with self._precision():
            rates = np.array(
                decode.predicted_rates(self._params(), packed.recording, **self._options)
            )
        rates[packed.position[~packed.known]] = np.nan
        ids = self.neuron_ids_[self._modelled]
        out = self._output(spikes, packed, rates / self._per_bin, np.nan, neuron=ids)
        return out.assign_attrs(units=self._rate_unit, bin_size=self.bin_size_)

    def log_likelihood(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Log-likelihood of every session; for counts, ``log x!`` is included.

        Parameters
        ----------
        X, covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray, dims (session,)
            Nats.
        """
        spikes, packed = self._input(X, covariates, transition_inputs)
        with self._precision():
            result = decode.smoothed(self._params(), packed.recording, **self._options)
            per_bin = np.asarray(result.log_normalizers, float)[packed.position]
        base = OBSERVATIONS[self.observation].log_base(packed.counts.astype(float))
        per_bin += np.nansum(base, axis=1)
        total = np.bincount(packed.session, per_bin, minlength=spikes.sizes["session"])
        return xr.DataArray(total, {"session": spikes["session"]}, attrs={"units": "nats"})

    def path_log_proba(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Log-probability, given the counts, of the sequence that `predict_states` returns.

        Near zero where states are told apart with certainty.

        Parameters
        ----------
        X, covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray, dims (session,)
            Nats, at most 0.
        """
        spikes, packed = self._input(X, covariates, transition_inputs)
        with self._precision():
            flat = decode.path_log_proba(self._params(), packed.recording, **self._options)
            per_bin = np.asarray(flat, float)[packed.position]
        total = np.bincount(packed.session, per_bin, minlength=spikes.sizes["session"])
        return xr.DataArray(total, {"session": spikes["session"]}, attrs={"units": "nats"})

    def score(
        self, X: Any, y: None = None, *, covariates: Any = None, transition_inputs: Any = None
    ) -> float:
        """Bits per spike gained over the training data's mean rates.

        Of signals (``observation="gaussian"``): bits per sample over their means and
        variances.  See `onehotglm.estimator.scoring`.

        Parameters
        ----------
        X, covariates, transition_inputs : as in `fit`
        y : None
            Ignored.

        Returns
        -------
        float
            NaN without spikes.
        """
        check_is_fitted(self)
        spikes = self._spikes(X)
        variance = self.baseline_variance_
        return score_bits(
            self.observation,
            self.log_likelihood(spikes, covariates=covariates, transition_inputs=transition_inputs),
            spikes.isel(neuron=self._modelled),
            self.mean_counts_[self._modelled],
            None if variance is None else variance[self._modelled],
        )

    # ------------------------------------------------------------------------ uncertainty

    def standard_errors(
        self,
        X: Any,
        states: str = "uncertain",
        level: float = 0.9,
        *,
        covariates: Any = None,
        transition_inputs: Any = None,
    ) -> xr.Dataset:
        """Give standard errors and intervals of couplings and biases (Laplace approximation).

        See :doc:`/uncertainty` for what they are and what they are not.

        Parameters
        ----------
        X, covariates, transition_inputs : as in `fit`
            The recording that the model was fitted to.
        states : {"uncertain", "given"}
            ``"uncertain"``: from the observed information, states summed out (Louis 1982).
            ``"given"``: as if the posterior of the states had been observed; smaller, and
            cheaper.
        level : float
            Probability of the intervals.

        Returns
        -------
        Dataset
            ``*_mean``, ``*_se``, ``*_low`` and ``*_high`` of `weights` (state, post, pre,
            basis), `connectivity` (state, post, pre), `bias` (state, neuron) and, where there
            are covariates, `covariate_weights` (state, neuron, covariate).  With the one-hot
            prior those of couplings are of the mixture over types, and there are also
            `connection_type_proba` (state, post, pre, type), and `connectivity_given_type_low`
            and `..._high`, which take the fitted type for granted.

        Raises
        ------
        InvalidInputError
            If the recording is another one, or the fit is not at a maximum.

        Examples
        --------
        >>> from onehotglm import OneHotHMMGLM
        >>> spikes = np.random.default_rng(0).poisson(0.3, size=(2, 300, 4))
        >>> model = OneHotHMMGLM(n_states=1, prior="none", n_init=1).fit(spikes)
        >>> errors = model.standard_errors(spikes)
        >>> errors["connectivity_se"].dims
        ('state', 'post', 'pre')
        """
        from onehotglm.estimator import uncertainty

        check_is_fitted(self)
        if self.guide_ is not None:
            raise InvalidInputError(
                "standard_errors approximates the posterior around a fit by EM; this model was "
                "fitted by method='vi', whose posterior() has intervals of its own"
            )
        uncertainty.check_options(self, states, level)
        spikes, _ = self._input(X, covariates, transition_inputs)
        uncertainty.check_recording(spikes, self.mean_counts_)
        with jax.enable_x64(True):  # differences of large numbers, whatever the fit's precision
            packed = self._pack(spikes, covariates, transition_inputs, dtype="float64")
            return uncertainty.standard_errors(self, packed, states, level)

    # -------------------------------------------------------------------------- sampling

    def sample(
        self,
        n_time_bins: int = 1000,
        n_sessions: int = 1,
        random_state: RandomState = 0,
        *,
        covariates: Any = None,
        transition_inputs: Any = None,
    ) -> xr.Dataset:
        """Spikes from the fitted model, in closed loop.

        Parameters
        ----------
        n_time_bins, n_sessions : int
        random_state : int, numpy Generator or RandomState, or jax key
        covariates, transition_inputs : as in `fit`
            Of all bins that are sampled.

        Returns
        -------
        Dataset
            `spikes` (session, time, neuron; counts or signals), `states` (session, time),
            `rates` (session, time, neuron; Hz or the signals' unit).

        Raises
        ------
        InvalidInputError
            If the rates explode, which a fit of excitation can do in closed loop, or the
            covariates or inputs are not of that many sessions and bins.
        """
        check_is_fitted(self)
        self._check_whole("sample")
        return sample(self, n_time_bins, n_sessions, random_state, covariates, transition_inputs)

    # --------------------------------------------------------------------------- helpers

    def _check_whole(self, method: str) -> None:
        if not isinstance(self._modelled, slice):
            raise InvalidInputError(
                f"{method} needs a model of all neurons, but this is the chain of one group; "
                "call it of the IndependentChains"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = OBSERVATIONS[self.observation].values != "real"
        return tags

    def _precision(self) -> AbstractContextManager:
        return jax.enable_x64(True) if self.dtype == "float64" else nullcontext()

    @property
    def _chunk_size(self) -> int:
        return chunk_size(self.n_states, len(self.mean_counts_[self._modelled]))

    @property
    def _options(self) -> dict[str, Any]:
        return {"size": self._chunk_size, "link": self.link, "observation": self.observation}

    @property
    def _is_signal(self) -> bool:
        return OBSERVATIONS[self.observation].values == "real"

    @property
    def _per_bin(self) -> float:
        """What a mean per bin is divided by to be a rate in Hz; signals have no rate."""
        return 1.0 if self._is_signal else self.bin_size_

    @property
    def _rate_unit(self) -> str:
        return "signal" if self._is_signal else "Hz"

    @property
    def _data_unit(self) -> str:
        return "signal" if self._is_signal else "counts"

    def _params(self, dtype: str | None = None) -> Params:
        dtype = self.dtype if dtype is None else dtype
        arrays = [self.bias_, self.weights_, self.transition_matrix_, self.initial_proba_]
        if self.covariate_weights_ is not None:
            arrays.append(COVARIATES.inner_weights(self))
        params = from_weights(*(jnp.asarray(x, dtype) for x in arrays))
        if self.dispersion_ is not None:
            params = params._replace(dispersion=jnp.asarray(self.dispersion_, dtype))
        drive = TRANSITION_INPUTS.inner_weights(self)
        if drive is not None:
            params = params._replace(transition_weights=jnp.asarray(drive, dtype))
        return params

    def _spikes(self, X: Any, least_bins: int = 1) -> xr.DataArray:
        values = OBSERVATIONS[self.observation].values
        return as_spikes(X, self.bin_size_, least_bins=least_bins, values=values)

    def _pack(
        self,
        spikes: xr.DataArray,
        covariates: Any = None,
        transition_inputs: Any = None,
        *,
        dtype: str | None = None,
    ) -> Packed:
        return pack(
            spikes,
            self.basis_functions_,
            self.mean_counts_,
            self._chunk_size,
            self.dtype if dtype is None else dtype,
            self._modelled,
            COVARIATES.along(self, covariates, spikes),
            TRANSITION_INPUTS.along(self, transition_inputs, spikes),
        )

    def _input(
        self, X: Any, covariates: Any = None, transition_inputs: Any = None
    ) -> tuple[xr.DataArray, Packed]:
        check_is_fitted(self)
        spikes = self._spikes(X)
        check_neurons(spikes, self.neuron_ids_)
        with self._precision():
            return spikes, self._pack(spikes, covariates, transition_inputs)

    def _output(
        self,
        spikes: xr.DataArray,
        packed: Packed,
        flat: np.ndarray,
        fill: float,
        **last: np.ndarray,
    ) -> xr.DataArray:
        """Values per bin, labelled like the spikes without their lead-in."""
        modelled = spikes.isel(time=spikes["time"].values >= 0)
        shape = (modelled.sizes["session"], modelled.sizes["time"])
        out = unpack(packed, flat, shape, fill)
        coords = {
            name: coord
            for name, coord in modelled.coords.items()
            if set(coord.dims) <= {"session", "time"}
        }
        return xr.DataArray(out, coords | last, dims=("session", "time", *last))
