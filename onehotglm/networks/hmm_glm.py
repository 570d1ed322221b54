"""The flagship, and the GLM without states, under the decoders' promise."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float
from sklearn.base import clone

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
from onehotglm.estimator.scoring import mean_rates
from onehotglm.kernels.emissions import LINKS
from onehotglm.kernels.history import convolve_history
from onehotglm.kernels.hmm import filter_states
from onehotglm.networks.base import Decoder, check_spikes
from onehotglm.networks.effective_connectivity import check_lags, effective_connectivity

SMALLEST_PROBABILITY = 1e-30
"""Of a transition, so that its logarithm has a derivative."""


class HMMGLMDecoder(Decoder):
    r"""State-switching GLM as a decoder; with one state, the plain GLM.

    Its predictive distribution of bin t is the mixture over the states that the forward
    filter expects, ``p(x_t | past) = sum_s p(z_t = s | past) p(x_t | s, past)``; `score`
    takes that likelihood, in which neurons of one bin are dependent through their common
    state, and `predict_rates` its mean.

    ``connectivity_`` is the mean Jacobian of the predicted rates with respect to the spikes,
    as of every decoder.  It runs through the forward filter: a spike excites by a coupling,
    and it is also evidence of the state, which moves all rates that differ between states.
    Without the evidence, while the state stays what it is, a spike does

    .. math:: D_{nm} = \frac{1}{\Delta} \sum_s \Big\langle p(z_t = s \mid \mathrm{past})
        \, g'(\eta_{tsn}) \Big\rangle_t \sum_{k,l} W_{snmk} \phi_{kl} ,

    ``direct_connectivity_``; with one state the two are the same.  Both grow with the rate of
    the postsynaptic neuron, by the slope g'.  The couplings W themselves do not: their mean
    over the time in each state is ``couplings_``.

    A network without named states, such as an RNN, cannot tell a spike's effect from what it
    says, nor an effect from the rate that it meets: beside its connectivity belongs
    ``connectivity_``.  A comparison of decoders shows it, the couplings, and
    ``shared_connectivity_`` of the model (what the prior says that states have in common);
    against a true wiring it is the couplings that count.

    Parameters
    ----------
    model : OneHotHMMGLM, optional
        What is fitted; a copy of it, it stays as it is.  Default:
        ``OneHotHMMGLM(progress=False)``.  With ``n_states=1`` this is a GLM.
    n_lags : int
        Past bins of ``connectivity_``.
    random_state : int or key
        Seed of the Jacobian's random signs.

    Attributes
    ----------
    model_ : OneHotHMMGLM
        The fit.
    mean_rates_ : DataArray, dims (neuron,)
        Training mean rates, Hz.
    connectivity_ : DataArray, dims (post, pre)
        Effective connectivity, Hz per spike.
    connectivity_error_ : DataArray, dims (post, pre)
        Its bootstrap standard error over sessions.
    direct_connectivity_ : DataArray, dims (post, pre)
        Effect of a spike at a given state, Hz per spike.
    couplings_ : DataArray, dims (post, pre)
        Couplings summed over lags, mean over the time in the states, in units of the
        linear predictor per spike.

    Examples
    --------
    >>> glm = HMMGLMDecoder(OneHotHMMGLM(n_states=1))
    >>> glm.set_params(model__link="exp").model.link
    'exp'
    """

    def __init__(
        self, model: OneHotHMMGLM | None = None, *, n_lags: int = 10, random_state: int = 0
    ) -> None:
        self.model = model
        self.n_lags = n_lags
        self.random_state = random_state

    def fit(self, spikes: xr.DataArray, y: None = None) -> Self:
        """Fit the model and take its connectivity.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts, NaN where missing; lead-in bins serve as history.
        y : None
            Ignored; scikit-learn passes it.

        Returns
        -------
        HMMGLMDecoder
            The object itself.

        Raises
        ------
        InvalidInputError
            If the spikes or a parameter do not fit.
        """
        del y
        spikes = check_spikes(spikes)
        check_lags(spikes, self.n_lags)
        if self.model is not None and not isinstance(self.model, OneHotHMMGLM):
            raise InvalidInputError(
                f"model is {type(self.model).__name__}, expected a OneHotHMMGLM; for example "
                "HMMGLMDecoder(OneHotHMMGLM(n_states=5))"
            )
        model = OneHotHMMGLM(progress=False) if self.model is None else clone(self.model)
        if model.observation != "poisson":
            # The filter of `OneStepRates` and the baseline of `score` are those of counts.
            raise InvalidInputError(
                f"the model has observation={model.observation!r}, but decoders are compared as "
                "predictors of Poisson counts; use observation='poisson'"
            )
        self.model_ = model.fit(spikes)
        self.mean_rates_ = mean_rates(spikes)
        self._take_connectivity(spikes)
        return self

    def predict_rates(self, spikes: xr.DataArray) -> xr.DataArray:
        """Rates of every bin given the bins before it.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts of the neurons of the fit.

        Returns
        -------
        DataArray, dims (session, time, neuron)
            Hz; without lead-in bins.
        """
        return self.model_.predict_rates(check_spikes(spikes, self.mean_rates_))

    def log_likelihood(self, spikes: xr.DataArray) -> xr.DataArray:
        """Log-likelihood of each session, the states summed out.

        Parameters
        ----------
        spikes : DataArray, dims (session, time, neuron)
            Counts; missing and lead-in bins are not scored.

        Returns
        -------
        DataArray, dims (session,)
            Nats.
        """
        return self.model_.log_likelihood(check_spikes(spikes, self.mean_rates_))

    @property
    def n_parameters_(self) -> int:
        """Number of biases, of weights that are not held at zero, and of free probabilities.

        The learned prior over couplings is not counted.
        """
        model = self.model_
        n_states = model.n_states
        biases = model.bias_[:1] if model.bias == "shared" else model.bias_
        n_probabilities = (n_states + 1) * (n_states - 1)
        return int(biases.size + np.count_nonzero(model.weights_) + n_probabilities)

    @property
    def readings_(self) -> dict[str, xr.DataArray]:
        """Effective connectivity, couplings, and with several states the shared ones.

        The last two are in units of the linear predictor per spike.
        """
        readings = super().readings_ | {"couplings": self.couplings_}
        shared = self.model_.shared_connectivity_
        if self.model_.n_states > 1 and shared is not None:
            readings["shared"] = self._labelled(shared, "Δη per spike")
        return readings

    def _take_connectivity(self, spikes: xr.DataArray) -> None:
        predictor = OneStepRates.of(self.model_, int((spikes["time"].values < 0).sum()))
        found = effective_connectivity(
            predictor, spikes, n_lags=self.n_lags, random_state=self.random_state
        )
        self.connectivity_ = found["connectivity"]
        self.connectivity_error_ = found["connectivity_error"]
        gains = mean_gains(predictor, spikes)
        couplings = self.model_.connectivity_
        direct = np.einsum("sn,snm->nm", gains, couplings) / self.model_.bin_size_
        self.direct_connectivity_ = self._labelled(direct, "Hz per spike")
        expected = np.average(couplings, axis=0, weights=self.model_.occupancy_)
        self.couplings_ = self._labelled(expected, "Δη per spike")

    def _labelled(self, matrix: np.ndarray, units: str) -> xr.DataArray:
        neurons = self.mean_rates_["neuron"].values
        coords = {"post": neurons, "pre": neurons}
        return xr.DataArray(matrix, coords, ("post", "pre"), attrs={"units": units})


class OneStepRates(eqx.Module):
    """Counts of a session (time, neuron) to the rates that the flagship predicts, in Hz.

    The same function as ``OneHotHMMGLM.predict_rates``, for one session and differentiable.
    The filter starts after the lead-in.
    """

    bias: Float[Array, "state neuron"]
    weights: Float[Array, "state post pre basis"]
    basis: Float[Array, "basis lag"]
    transition: Float[Array, "state next_state"]
    initial: Float[Array, " state"]
    link: str = eqx.field(static=True)
    bin_size: float = eqx.field(static=True)
    n_lead_in: int = eqx.field(static=True)

    @classmethod
    def of(cls, model: OneHotHMMGLM, n_lead_in: int) -> "OneStepRates":
        """Take the parameters of a fit."""
        transition = np.maximum(model.transition_matrix_, SMALLEST_PROBABILITY)
        initial = np.maximum(model.initial_proba_, SMALLEST_PROBABILITY)
        return cls(
            bias=jnp.asarray(model.bias_, jnp.float32),
            weights=jnp.asarray(model.weights_, jnp.float32),
            basis=jnp.asarray(model.basis_functions_, jnp.float32),
            transition=jnp.asarray(transition, jnp.float32),
            initial=jnp.asarray(initial, jnp.float32),
            link=model.link,
            bin_size=model.bin_size_,
            n_lead_in=n_lead_in,
        )

    def __call__(self, counts: Float[Array, "time neuron"]) -> Float[Array, "time neuron"]:
        """Rates of each bin given the bins before it."""
        eta = self._linear_predictors(counts)
        expected = self._expected_states(counts, eta)
        return jnp.einsum("ts,tsn->tn", expected, LINKS[self.link].rate(eta)) / self.bin_size

    def gains(self, counts: Float[Array, "time neuron"]) -> Float[Array, "time state neuron"]:
        """Change of the expected count per unit of each state's linear predictor."""
        eta = self._linear_predictors(counts)
        slope = LINKS[self.link].rate_and_slope(eta)[1]
        return self._expected_states(counts, eta)[:, :, None] * slope

    def _linear_predictors(self, counts: Array) -> Float[Array, "time state neuron"]:
        padded = jnp.pad(counts, ((self.basis.shape[1], 0), (0, 0)))
        history = convolve_history(padded, jnp.arange(len(counts)), self.basis)
        return self.bias + jnp.einsum("tmk,snmk->tsn", history, self.weights)

    def _expected_states(self, counts: Array, eta: Array) -> Float[Array, "time state"]:
        rate, log_rate = LINKS[self.link].rate_and_log(eta)
        log_lik = (counts[:, None, :] * log_rate - rate).sum(axis=-1)
        bins = jnp.arange(len(counts))
        log_lik = jnp.where((bins >= self.n_lead_in)[:, None], log_lik, 0)
        starts = bins == self.n_lead_in
        return filter_states(self.initial, self.transition, log_lik, starts).predicted


def mean_gains(predictor: OneStepRates, spikes: xr.DataArray) -> np.ndarray:
    """Mean over observed bins of `OneStepRates.gains`, shape (state, neuron)."""
    counts = np.asarray(spikes.values, np.float32)
    scored = np.asarray(np.isfinite(counts).any(axis=2))
    scored[:, : predictor.n_lead_in] = False
    total = sum(
        np.asarray(_summed_gains(predictor, jnp.asarray(np.nan_to_num(x)), jnp.asarray(mask)))
        for x, mask in zip(counts, scored, strict=True)
    )
    return np.asarray(total / scored.sum())


@eqx.filter_jit
def _summed_gains(
    predictor: OneStepRates, counts: Float[Array, "time neuron"], scored: Bool[Array, " time"]
) -> Float[Array, "state neuron"]:
    return jnp.where(scored[:, None, None], predictor.gains(counts), 0).sum(axis=0)
