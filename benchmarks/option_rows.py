"""What the rows of the table of options share: the registry, simulations, fits.

A row is a function of a seed that simulates a population for which its option is right, fits
the model with the option and the plain model to the same data, and returns pairs of measures:

    @row("link='log1p_softplus'", truth="counts through that link")
    def flat_link(seed):
        ...
        return {"held-out bits/spike": (with_option, plain)}

`options.py` runs the rows.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Measures = Mapping[str, tuple[float, float]]


class Row(NamedTuple):
    """An option, what the data are made from, and the function that measures."""

    option: str
    truth: str
    measure: Callable[[int], Measures]


ROWS: dict[str, Row] = {}


def row(option: str, *, truth: str) -> Callable[[Callable[[int], Measures]], Callable]:
    """Register a function of a seed under its own name."""

    def register(function: Callable[[int], Measures]) -> Callable[[int], Measures]:
        ROWS[function.__name__] = Row(option, truth, function)
        return function

    return register


def simulate(seed: int, **options: Any):
    """Two states of eight neurons, 12 sessions of 1,500 bins, the last four for testing."""
    from onehotglm import simulate_population

    settings: dict[str, Any] = {
        "n_neurons": 8,
        "n_states": 2,
        "n_sessions": 12,
        "n_time_bins": 1500,
        "mean_rate": 15.0,
        "random_state": seed,
    }
    return simulate_population(**settings | options)


def split(data, n_test: int = 4):
    """Training and test sessions of anything with the dimension session."""
    return data.isel(session=slice(None, -n_test)), data.isel(session=slice(-n_test, None))


def fit(spikes, given: Mapping[str, Any] | None = None, **options: Any):
    """Fit with an option; `given` goes to `fit` (covariates)."""
    import warnings

    from onehotglm import OneHotHMMGLM

    settings: dict[str, Any] = {"n_states": 2, "prior": "none", "n_init": 3, "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return OneHotHMMGLM(**settings | options).fit(spikes, **(given or {}))


def correlation(found, true) -> float:
    """Pearson's, over all entries."""
    import numpy as np

    return float(np.corrcoef(np.ravel(found), np.ravel(true))[0, 1])


def matched(test, right, plain, *spikes) -> Measures:
    """States and couplings of the two fits against the truth, on the test sessions.

    `spikes` are what the two fits decode, if not the test's.
    """
    from onehotglm.evaluation import recovery

    right_spikes, plain_spikes = spikes or (test["spikes"], test["spikes"])
    with_option = recovery(right, test, right.predict_states(right_spikes))
    without = recovery(plain, test, plain.predict_states(plain_spikes))
    names = {
        "state_accuracy": "state accuracy",
        "connectivity_correlation": "couplings' correlation",
        "connectivity_mse": "couplings' MSE",
    }
    return {label: (with_option[name], without[name]) for name, label in names.items()}
