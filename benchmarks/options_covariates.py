"""Rows of the table of options: covariates of the rates."""

from option_criteria import at_least, at_most
from option_rows import (
    UNKNOWN,
    Measures,
    correlation,
    fit,
    given_to,
    matched,
    rms,
    row,
    scores,
    simulate,
    split,
)

N_COVARIATES, BIN_SIZE, TIME_CONSTANT = 3, 0.02, 0.5
CORRELATION, ERROR = "covariate weights' correlation", "covariate weights' relative MSE"
AGAINST_APART = f"{ERROR}, plain: per state"
RECOVERED = {CORRELATION: at_least(0.95), ERROR: at_most(0.1)}


def _driven(seed: int, *, shared: bool):
    """Training and test sessions of a population that slow covariates drive."""
    import numpy as np
    from scipy.signal import lfilter

    from onehotglm import simulate_from

    parameters = simulate(seed).drop_vars(["spikes", "states", "rates"])
    n_states, n_neurons = parameters["bias"].shape
    rng = np.random.default_rng(2000 + seed)
    keep = np.exp(-BIN_SIZE / TIME_CONSTANT)
    noise = rng.normal(size=(12, 1500, N_COVARIATES))
    noise[:, 1:] *= np.sqrt(1 - keep**2)
    covariates = lfilter([1.0], [1.0, -keep], noise, axis=1)
    weights = rng.normal(0, 0.5, (1 if shared else n_states, n_neurons, N_COVARIATES))
    weights = np.broadcast_to(weights, (n_states, n_neurons, N_COVARIATES))
    parameters["covariate_weights"] = (("state", "neuron", "covariate"), weights)
    sizes = {"n_sessions": 12, "n_time_bins": 1500}
    return split(
        simulate_from(parameters, **sizes, covariates=covariates, random_state=1000 + seed)
    )


def _relative_error(model, test) -> tuple[float, float]:
    """Of the covariates' weights, and their correlation with the true ones."""
    import numpy as np

    from onehotglm import match_paths

    states = model.predict_states(test["spikes"], **given_to(model, test))
    n_states = len(model.bias_)
    order = match_paths(
        np.asarray(states), test["states"].values, n_states=n_states, n_reference_states=n_states
    )
    found, true = model.covariate_weights_[order], test["covariate_weights"].values
    return rms(found - true) ** 2 / rms(true) ** 2, correlation(found, true)


def _measures(test, right, plain) -> Measures:
    from onehotglm import true_model

    true = true_model(right, test)
    error, agreement = _relative_error(right, test)
    return {
        "held-out bits/spike": scores(test, right, plain, true),
        **matched(test, right, plain, true=true),
        CORRELATION: (agreement, UNKNOWN, 1.0),
        ERROR: (error, UNKNOWN, 0.0),
    }


@row("covariates=", truth="three slow covariates, weights per state", recovered=RECOVERED)
def covariates(seed: int) -> Measures:
    train, test = _driven(seed, shared=False)
    right = fit(train["spikes"], {"covariates": train["covariates"]})
    return _measures(test, right, fit(train["spikes"]))


@row(
    "covariate_effect='shared'",
    truth="three slow covariates, weights that the states share; plain: without covariates",
    recovered=RECOVERED,
)
def shared_covariates(seed: int) -> Measures:
    train, test = _driven(seed, shared=True)
    given = {"covariates": train["covariates"]}
    right = fit(train["spikes"], given, covariate_effect="shared")
    apart = fit(train["spikes"], given)
    errors = [_relative_error(model, test)[0] for model in (right, apart)]
    return {
        **_measures(test, right, fit(train["spikes"])),
        AGAINST_APART: (errors[0], errors[1], 0.0),
    }
