"""From the data and what inference found to the fitted attributes."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from onehotglm.estimator.exogenous import COVARIATES, TRANSITION_INPUTS
from onehotglm.estimator.learned_prior import keep_prior
from onehotglm.estimator.scoring import mean_and_variance, mean_rates
from onehotglm.inference.learning import Learned
from onehotglm.inference.shared_kernel import factors
from onehotglm.kernels.observations import OBSERVATIONS
from onehotglm.model import priors
from onehotglm.model.params import Params

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM


def keep_moments(model: "OneHotHMMGLM", spikes: xr.DataArray) -> None:
    """Set means and, where there is a dispersion, variances: baselines and starts."""
    model.mean_counts_ = mean_rates(spikes).values * model.bin_size_
    model.baseline_variance_ = None
    dispersion = OBSERVATIONS[model.observation].dispersion
    if dispersion is not None:
        mean, variance = mean_and_variance(spikes)
        if model._is_signal:
            model.mean_counts_, variance = mean, dispersion.start(mean, variance)
        model.baseline_variance_ = variance


def keep_params(model: "OneHotHMMGLM", params: Params, occupancy: np.ndarray) -> np.ndarray:
    """Set the parameters, states in order of occupancy; what only some fits have becomes None.

    Parameters
    ----------
    model : OneHotHMMGLM
    params : Params
    occupancy : array, shape (state,)
        Expected number of bins in each state.

    Returns
    -------
    int array, shape (state,)
        The order.
    """
    order = np.argsort(-occupancy, kind="stable")
    model.occupancy_ = occupancy[order]
    model.bias_ = np.asarray(params.bias)[order]
    n_columns = COVARIATES.count(model)
    model.weights_ = np.asarray(params.weights(len(model.basis_functions_), n_columns))[order]
    COVARIATES.keep_weights(model, np.asarray(params.covariate_weights(n_columns))[order])
    model.transition_matrix_ = np.asarray(params.transition)[np.ix_(order, order)]
    model.initial_proba_ = np.asarray(params.initial)[order]
    model.dispersion_ = None if params.dispersion is None else np.asarray(params.dispersion)
    drive = params.transition_weights
    TRANSITION_INPUTS.keep_weights(model, None if drive is None else np.asarray(drive)[order])
    model.connectivity_ = summed_over_lags(model, model.weights_)
    model.strength_ = model.kernel_ = None
    model.neuron_sign_ = model.neuron_sign_proba_ = None
    model.connection_type_ = model.connection_type_proba_ = None
    model.shared_type_proba_ = model.shared_connectivity_ = None
    model.guide_ = None
    return order


def keep_learned(model: "OneHotHMMGLM", learned: Learned) -> None:
    """Set the fitted attributes from a fit by EM."""
    state = learned.state
    order = keep_params(model, state.accepted, np.asarray(state.occupancy, float))
    kernel = learned.penalty.kernel
    if kernel is not None:
        strengths, shape = factors(state.accepted.coefficients, kernel)
        strengths = np.asarray(strengths)[order][..., kernel.strength_columns]
        model.strength_, model.kernel_ = strengths, np.asarray(shape)
    if learned.signs is not None:
        model.neuron_sign_, model.neuron_sign_proba_ = learned.signs
    keep_prior(model, learned.prior)
    if isinstance(learned.prior, priors.GaussianPrior):
        model.shared_connectivity_ = _expected_coupling(model, learned.prior.mean)
    elif learned.types is not None and learned.prior is not None:
        model.connection_type_proba_ = learned.types.type_proba[order]
        # A strength of exactly zero (the data want the other sign) is no connection.
        most_probable = model.connection_type_proba_.argmax(-1) - 1
        model.connection_type_ = np.where(model.weights_.any(-1), most_probable, 0)
        model.shared_type_proba_ = learned.prior.type_proba
        expected = priors.expected_weights(learned.prior)
        model.shared_connectivity_ = _expected_coupling(model, expected)
    if model.shared_connectivity_ is not None and model.self_history in ("per_state", "shared"):
        own = np.eye(len(model.mean_counts_), dtype=bool)[model._modelled]
        model.shared_connectivity_[own] = model.connectivity_.mean(0)[own]


def _expected_coupling(model: "OneHotHMMGLM", expected: np.ndarray) -> np.ndarray:
    """Couplings (post, pre) from what a prior expects of weights, or of strengths."""
    return summed_over_lags(model, expected if model.kernel_ is None else expected * model.kernel_)


def summed_over_lags(model: "OneHotHMMGLM", weights: np.ndarray) -> np.ndarray:
    """Couplings (..., post, pre) from weights (..., post, pre, basis)."""
    return weights @ model.basis_functions_.sum(1)
