"""Decoding a stream of counts while it is recorded."""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from onehotglm.errors import InvalidInputError
from onehotglm.estimator import outputs
from onehotglm.estimator.exogenous import COVARIATES, TRANSITION_INPUTS
from onehotglm.estimator.fitted import FittedModel
from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
from onehotglm.inference import online
from onehotglm.inference.online import Decoded, Floats, OnlineState
from onehotglm.model.params import from_weights

# variable of a file -> dims; `OnlineState` explains them
_STATE = {
    "past": ("lag", "neuron"),
    "rate": ("state", "neuron"),
    "log_rate": ("state", "neuron"),
    "log_posterior": ("state",),
    "log_predicted": ("state",),
    "backward": ("state", "past", "past_state"),
    "n_bins": (),
}
_PREFIX = "decoder_"


class StateDecoder:
    r"""Which state the network is in, bin after bin while it is recorded.

    Takes in one bin after the other and says what the bins so far tell about the state, by
    the forward recursion [1]_

    .. math:: p(z_t = k \mid x_{1..t}) \propto p(x_t \mid z_t = k, x_{<t})
        \sum_j p(z_{t-1} = j \mid x_{<t}) A_{jk}.

    A step takes tens of microseconds at 100 neurons and 5 states, and memory does not grow.
    It computes in float64 whatever the precision of the fit.

    Parameters
    ----------
    model : OneHotHMMGLM
        Fitted.  Later changes of the model do not reach the decoder.
    lag : int
        Bins that the fixed-lag smoother waits: with 0 it is the causal posterior.
    horizon : int
        Bins within which a change of state is foretold.

    Raises
    ------
    InvalidInputError
        If `lag` or `horizon` make no sense, or the model is not one of Poisson counts.

    See Also
    --------
    OneHotHMMGLM.predict_proba : The posterior of a whole recording; with ``causal=True``
        the same as bin after bin.

    Notes
    -----
    A missing count (NaN) says nothing about the state and counts as the neuron's mean in
    histories, as in `OneHotHMMGLM.fit`.

    References
    ----------
    .. [1] Rabiner, L. R. (1989). A tutorial on hidden Markov models. Proc. IEEE 77, 257-286.

    Examples
    --------
    >>> import numpy as np
    >>> from onehotglm import OneHotHMMGLM
    >>> spikes = np.random.default_rng(0).poisson(0.3, size=(2, 300, 4))
    >>> model = OneHotHMMGLM(n_states=2, n_init=1, bin_size=0.02).fit(spikes)
    >>> decoder = StateDecoder(model, lag=5)
    >>> for counts in spikes[0]:
    ...     now = decoder.step(counts)
    >>> now.posterior.shape, now.rates.shape
    ((2,), (4,))
    """

    _state: OnlineState

    def __init__(self, model: FittedModel, *, lag: int = 10, horizon: int = 10):
        check_is_fitted(model)
        model._check_whole("StateDecoder")
        if model.observation != "poisson":
            raise InvalidInputError(
                f"the model has observation={model.observation!r}; StateDecoder takes Poisson "
                "counts. Decode recorded data with predict_proba(X, causal=True)"
            )
        for name, value, least in (("lag", lag, 0), ("horizon", horizon, 1)):
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or value < least:
                raise InvalidInputError(
                    f"{name}={value!r}; expected a whole number of bins, at least {least}"
                )
        self.model, self.lag, self.horizon = model, int(lag), int(horizon)
        self._link, self._bin_size = model.link, model.bin_size_
        with jax.enable_x64(True):
            arrays = (model.bias_, model.weights_, model.transition_matrix_, model.initial_proba_)
            self._model = online.make_model(
                from_weights(*(jnp.asarray(x, float) for x in arrays)),
                jnp.asarray(model.basis_functions_, float),
                jnp.asarray(model.mean_counts_, float),
                self.horizon,
            )
        self._drive = TRANSITION_INPUTS.inner_weights(model)
        self._effects = COVARIATES.inner_weights(model)
        self.reset()
        # Compiles: the first bin will not wait.
        nothing = np.full(model.bias_.shape[1], np.nan)
        self.step(
            nothing,
            covariates=model.covariate_mean_,
            transition_inputs=model.transition_input_mean_,
        )
        self.reset()

    def step(
        self,
        counts: ArrayLike,
        *,
        covariates: ArrayLike | None = None,
        transition_inputs: ArrayLike | None = None,
    ) -> Decoded:
        """Take in the counts of one bin.

        Parameters
        ----------
        counts : array, shape (neuron,)
            Spikes per neuron in this bin, in the order of the fit; NaN where missing.
        covariates : array, shape (covariate,), optional
            Of this bin, for a model that was fitted with such.  What is foretold is if they
            stay as they are.
        transition_inputs : array, shape (input,), optional
            The same of inputs that drive transitions.

        Returns
        -------
        Decoded
            `posterior` (state,), `rates` of the next bin (neuron,) in Hz, `log_likelihood` of
            the bin in nats, `change_proba`, and `smoothed` (state,), the posterior of the bin
            `lag` bins ago.

        Raises
        ------
        InvalidInputError
            If the counts have another shape, or are no counts, or the inputs or covariates are
            not those of the fit.
        """
        counts = _checked(counts, self._model.stand_in.shape)
        inputs = TRANSITION_INPUTS.in_bin(self.model, transition_inputs)
        drive = None if inputs is None or self._drive is None else self._drive @ inputs
        columns = COVARIATES.in_bin(self.model, covariates)
        shift = None if columns is None or self._effects is None else self._effects @ columns
        with jax.enable_x64(True):
            state, results = online.step(
                self._model, self._state, counts, drive, shift, link=self._link
            )
        self._state = state
        return online.unpack(np.asarray(results), self._model.stays.size, self._bin_size)

    def reset(self, lead_in: ArrayLike | None = None) -> None:
        """Begin a session: forget what was, draw the state from the initial probabilities.

        Parameters
        ----------
        lead_in : array, shape (time, neuron), optional
            Counts of the bins right before the session, which only serve as history.  Without
            it histories begin empty.
        """
        n_neurons = self._model.stand_in.size
        counts = np.zeros((0, n_neurons)) if lead_in is None else np.asarray(lead_in, float)
        counts = _checked(counts, (len(counts), n_neurons))
        with jax.enable_x64(True):
            self._state = online.init(self._model, counts, link=self._link, lag=self.lag)

    @property
    def n_bins(self) -> int:
        """Bins that came in since the session began."""
        return int(self._state.n_bins)

    @property
    def recent(self) -> Floats:
        """Smoothed posterior of the last bins given all so far, the newest last.

        Shape (at most lag + 1, state): what the fixed-lag smoother still owes when a stream
        ends.
        """
        with jax.enable_x64(True):
            rows = np.asarray(online.recent(self._state))
        return rows[max(len(rows) - self.n_bins, 0) :]

    def save(self, path: str | os.PathLike) -> Path:
        """Write the model and where the stream stands, as a netCDF file.

        Parameters
        ----------
        path : path

        Returns
        -------
        Path
            `path`.
        """
        from onehotglm.io.checkpoint import save_dataset

        arrays = {
            _PREFIX + name: (tuple(_PREFIX + dim for dim in _STATE[name]), np.asarray(value))
            for name, value in self._state._asdict().items()
        }
        dataset = self.model.to_dataset().assign(arrays)
        settings = {"lag": self.lag, "horizon": self.horizon}
        # A decoder draws nothing, and a generator could not be written.
        dataset.attrs |= {"random_state": None, "decoder": settings}
        return save_dataset(dataset, path, "decoder")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "StateDecoder":
        """Go on with a stream where `save` left it; the results are the same.

        Parameters
        ----------
        path : path

        Returns
        -------
        StateDecoder

        Raises
        ------
        DataFileError
            If the file is missing, damaged, no decoder, or of another format version.
        """
        from onehotglm.io.checkpoint import load_dataset

        dataset = load_dataset(path, "decoder")
        model = outputs.from_dataset(OneHotHMMGLM(), dataset)
        decoder = cls(model, **dataset.attrs["decoder"])
        with jax.enable_x64(True):
            state = {name: jnp.asarray(dataset[_PREFIX + name].values) for name in _STATE}
        decoder._state = OnlineState(**state)
        return decoder


def _checked(counts: Any, shape: tuple[int, ...]) -> Floats:
    counts = np.asarray(counts, float)
    if counts.shape != shape:
        raise InvalidInputError(
            f"got counts of shape {counts.shape}; expected {shape}, one count for each of "
            "the neurons that the model was fitted to, in the same order"
        )
    # NaN, which is allowed, is unequal to all.
    fine = (counts >= 0) & (counts == np.rint(counts)) & (counts < np.inf) | np.isnan(counts)
    if not fine.all():
        raise InvalidInputError(
            f"the counts hold {counts[~fine][0]:g}; expected whole numbers of spikes in one "
            "bin, NaN where they are missing"
        )
    return counts
