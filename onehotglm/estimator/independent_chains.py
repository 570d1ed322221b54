"""Groups of neurons whose states switch independently."""

from typing import Any

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.exogenous import EXOGENOUS
from onehotglm.estimator.fit_warnings import warn_of_fit
from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
from onehotglm.estimator.outputs import TYPES, VARIABLES, dims_of
from onehotglm.estimator.scoring import bits_per_spike, mean_rates
from onehotglm.estimator.validate import as_spikes, check_neurons

_ROWS = ("post", "neuron")
_CHAIN = ("transition_matrix", "transition_weights", "initial_proba", "occupancy")


class IndependentChains(BaseEstimator):
    r"""A chain of states for every group of neurons, for example for every brain region.

    Given the spikes of the past the likelihood is a product over groups,

    .. math:: p(x_t \mid x_{<t}) = \prod_g \sum_s p(z^g_t = s \mid x_{<t})
        \prod_{n \in g} p(x_{tn} \mid z^g_t = s, x_{<t}),

    so each group is a model of its own: its neurons are postsynaptic, those of all groups
    presynaptic.  S states for each of G groups do what one chain could do with S^G.

    Parameters
    ----------
    groups : array_like, shape (neuron,)
        Label of every neuron's group.
    model : OneHotHMMGLM
        What is fitted to each group; it is cloned and left as it is.

    Attributes
    ----------
    group_labels_ : ndarray, shape (group,)
        In the order of their first neurons.
    chains_ : list of OneHotHMMGLM
        Of each group.  They take the spikes of all neurons, and predict and score the
        group's.
    connectivity_ : ndarray, shape (state, post, pre)
        Row n in the states of the chain of n's group.
    weights_ : ndarray, shape (state, post, pre, basis)
    bias_ : ndarray, shape (state, neuron)
    transition_matrix_ : ndarray, shape (group, state, next_state)
    initial_proba_ : ndarray, shape (group, state)

    See Also
    --------
    onehotglm.compare_chains : Tells whether one chain suffices.

    Examples
    --------
    >>> import numpy as np
    >>> spikes = np.random.default_rng(0).poisson(0.3, size=(2, 200, 4))
    >>> model = OneHotHMMGLM(n_states=2, prior="none", n_init=1, bin_size=0.02, tol=1e-2)
    >>> chains = IndependentChains(["CA1", "CA1", "CA3", "CA3"], model).fit(spikes)
    >>> chains.predict_states(spikes).sizes
    Frozen({'group': 2, 'session': 2, 'time': 200})
    """

    def __init__(self, groups: Any, model: OneHotHMMGLM):
        self.groups = groups
        self.model = model

    def fit(
        self, X: Any, y: None = None, *, covariates: Any = None, transition_inputs: Any = None
    ) -> "IndependentChains":
        """Fit every group's chain.

        Parameters
        ----------
        X : as `OneHotHMMGLM.fit` takes it
            Spike counts of all neurons.
        y : None
            Ignored.
        covariates, transition_inputs : as `OneHotHMMGLM.fit` takes them
            The same for all groups.

        Returns
        -------
        IndependentChains

        Raises
        ------
        InvalidInputError
            If there is not one label per neuron, or the parameters or data make no sense.
        """
        if self.model.observation not in ("poisson", "negative_binomial"):
            raise InvalidInputError(
                f"the model has observation={self.model.observation!r}; chains of groups take "
                "counts ('poisson' or 'negative_binomial')"
            )
        spikes = as_spikes(X, self.model.bin_size)
        groups = _labels(self.groups, spikes.sizes["neuron"])
        labels, first = np.unique(groups, return_index=True)
        self.group_labels_ = labels[np.argsort(first)]
        self.chains_ = []
        for label in self.group_labels_:
            chain = clone(self.model)
            chain._fit_neurons(
                spikes, np.flatnonzero(groups == label), covariates, transition_inputs
            )
            warn_of_fit(chain)
            self.chains_.append(chain)
        self.bin_size_ = self.chains_[0].bin_size_
        self.neuron_ids_ = self.chains_[0].neuron_ids_
        self.n_features_in_ = len(self.neuron_ids_)
        self._baseline = mean_rates(spikes).values
        for name in ("connectivity", "weights", "bias"):
            setattr(self, f"{name}_", self._rows(name))
        for name in ("transition_matrix", "initial_proba"):
            setattr(self, f"{name}_", np.stack([getattr(c, f"{name}_") for c in self.chains_]))
        return self

    def predict_states(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Most likely states of every group.

        Parameters
        ----------
        X : as `OneHotHMMGLM.fit` takes it
            Spike counts of all neurons.
        covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray of int, dims (group, session, time)
            -1 in padding.
        """
        return self._per_group("predict_states", X, covariates, transition_inputs)

    def predict(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Alias of `predict_states`, as scikit-learn calls it.

        Parameters
        ----------
        X : as `OneHotHMMGLM.fit` takes it
            Spike counts of all neurons.
        covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray of int, dims (group, session, time)
        """
        return self.predict_states(X, covariates=covariates, transition_inputs=transition_inputs)

    def predict_proba(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Posterior of every group's states given all bins.

        Parameters
        ----------
        X : as `OneHotHMMGLM.fit` takes it
            Spike counts of all neurons.
        covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray, dims (group, session, time, state)
            NaN in padding.
        """
        return self._per_group("predict_proba", X, covariates, transition_inputs)

    def predict_rates(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """One-step-ahead rates of all neurons, given the bins before.

        Parameters
        ----------
        X : as `OneHotHMMGLM.fit` takes it
            Spike counts of all neurons.
        covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray, dims (session, time, neuron)
            Hz (counts per bin if the bin size is not known); NaN in padding.
        """
        beside = {"covariates": covariates, "transition_inputs": transition_inputs}
        spikes = self._input(X)
        rates = [chain.predict_rates(spikes, **beside) for chain in self.chains_]
        return xr.concat(rates, "neuron", combine_attrs="override").isel(neuron=self._order)

    def log_likelihood(
        self, X: Any, *, covariates: Any = None, transition_inputs: Any = None
    ) -> xr.DataArray:
        """Log-likelihood of every session, ``log x!`` included.

        Parameters
        ----------
        X : as `OneHotHMMGLM.fit` takes it
            Spike counts of all neurons.
        covariates, transition_inputs : as in `fit`

        Returns
        -------
        DataArray, dims (session,)
            Nats.
        """
        per_group = self._per_group("log_likelihood", X, covariates, transition_inputs)
        return per_group.sum("group").assign_attrs(units="nats")

    def score(
        self, X: Any, y: None = None, *, covariates: Any = None, transition_inputs: Any = None
    ) -> float:
        """Bits per spike of all neurons gained over the training data's mean rates.

        The same baseline as `OneHotHMMGLM.score`, so that the two can be compared.

        Parameters
        ----------
        X : as `OneHotHMMGLM.fit` takes it
            Spike counts of all neurons.
        y : None
            Ignored.
        covariates, transition_inputs : as in `fit`

        Returns
        -------
        float
        """
        spikes = self._input(X)
        baseline = xr.DataArray(self._baseline, {"neuron": spikes["neuron"]})
        log_likelihood = self.log_likelihood(
            spikes, covariates=covariates, transition_inputs=transition_inputs
        )
        return bits_per_spike(log_likelihood, spikes, baseline)

    def to_dataset(self) -> xr.Dataset:
        """Fitted arrays with labels.

        Returns
        -------
        Dataset
            Couplings and biases of all neurons, as of `OneHotHMMGLM.to_dataset`, with the
            coordinate `group` (post); `transition_matrix` (group, state, next_state),
            `transition_weights` (group, state, input), `initial_proba` and `occupancy` (group,
            state).
        """
        check_is_fitted(self)
        first = self.chains_[0]
        variables: dict[str, Any] = {"basis_functions": (("basis", "lag"), first.basis_functions_)}
        for name in VARIABLES:
            dims = dims_of(first, name)
            if getattr(first, f"{name}_", None) is None:
                continue
            if name in _CHAIN:
                values = np.stack([getattr(chain, f"{name}_") for chain in self.chains_])
                variables[name] = (("group", *dims), values)
            elif "post" in dims or name in ("bias", "covariate_weights"):
                variables[name] = (dims, self._rows(name))
            elif dims in (("covariate",), ("input",)):  # the same of all chains
                variables[name] = (dims, getattr(first, f"{name}_"))
        groups = _labels(self.groups, len(self.neuron_ids_))
        coords: dict[str, Any] = dict.fromkeys(("neuron", "post", "pre"), self.neuron_ids_)
        coords |= {"state": np.arange(first.n_states), "group": self.group_labels_}
        for exogenous in EXOGENOUS:
            coords |= exogenous.coords(first)
        coords |= {"neuron_group": ("neuron", groups), "post_group": ("post", groups)}
        if "connection_type_proba" in variables:
            coords["type"] = list(TYPES)
        attrs = {"bin_size": self.bin_size_, "link": first.link, "prior": first.prior}
        return xr.Dataset(variables, coords, attrs)

    # --------------------------------------------------------------------------- helpers

    @property
    def _order(self) -> np.ndarray:
        """Where each neuron is, group after group."""
        return np.argsort(np.concatenate([chain._modelled for chain in self.chains_]))

    def _rows(self, name: str) -> np.ndarray:
        """Put the groups' parts of a fitted array in the order of the neurons."""
        axis = next(i for i, dim in enumerate(VARIABLES[name]) if dim in _ROWS)
        parts = [getattr(chain, f"{name}_") for chain in self.chains_]
        return np.take(np.concatenate(parts, axis), self._order, axis)

    def _input(self, X: Any) -> xr.DataArray:
        check_is_fitted(self)
        spikes = as_spikes(X, self.bin_size_, least_bins=1)
        check_neurons(spikes, self.neuron_ids_)
        return spikes

    def _per_group(
        self, method: str, X: Any, covariates: Any, transition_inputs: Any
    ) -> xr.DataArray:
        beside = {"covariates": covariates, "transition_inputs": transition_inputs}
        spikes = self._input(X)
        parts = [getattr(chain, method)(spikes, **beside) for chain in self.chains_]
        return xr.concat(parts, "group").assign_coords(group=self.group_labels_)


def _labels(groups: Any, n_neurons: int) -> np.ndarray:
    labels = np.asarray(groups)
    if labels.shape != (n_neurons,):
        raise InvalidInputError(
            f"groups has the shape {labels.shape} for {n_neurons} neurons; expected one label "
            "per neuron, in the order of the neurons"
        )
    return labels
