"""What the rows of the table of options share: the registry, simulations, fits, measures.

A row is a function of a seed that simulates a population for which its option is right, fits
the model with the option and the plain model to the same data, and returns measures of both,
and of the true parameters where they can be scored:

    @row("link='log1p_softplus'", truth="counts through that link", recovered={...})
    def flat_link(seed):
        ...
        return {"held-out bits/spike": (with_option, plain, true)}

`recovered` gives the criteria of the measures that only this row has (`option_criteria`).
`options.py` runs the rows.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from option_criteria import COMMON, Criterion

Measures = Mapping[str, tuple[float, ...]]
UNKNOWN = float("nan")


class Row(NamedTuple):
    """An option, what the data are made from, how to measure, and what counts as recovered."""

    option: str
    truth: str
    measure: Callable[[int], Measures]
    recovered: Mapping[str, Criterion]

    def criteria(self, measures: Collection[str]) -> dict[str, Criterion]:
        """Criteria of the measures that have one."""
        known = {**COMMON, **self.recovered}
        return {name: known[name] for name in measures if name in known}


ROWS: dict[str, Row] = {}


def row(
    option: str, *, truth: str, recovered: Mapping[str, Criterion] | None = None
) -> Callable[[Callable[[int], Measures]], Callable]:
    """Register a function of a seed under its own name."""

    def register(function: Callable[[int], Measures]) -> Callable[[int], Measures]:
        ROWS[function.__name__] = Row(option, truth, function, recovered or {})
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


def rms(error) -> float:
    return float((error**2).mean() ** 0.5)


def scores(test, *models) -> tuple[float, ...]:
    """Held-out bits of each model."""
    return tuple(model.score(test["spikes"], **given_to(model, test)) for model in models)


def given_to(model, test) -> dict[str, Any]:
    """Give what a model needs beside the spikes."""
    return {} if model.covariate_names_ is None else {"covariates": test["covariates"]}


class Decoded(NamedTuple):
    """Part of the bins whose most likely state is right, and couplings of the true states."""

    accuracy: float
    couplings: Any


def align(states, true_states, connectivity) -> Decoded:
    """Give fitted states (session, time) and couplings (state, post, pre) the truth's labels."""
    import numpy as np

    from onehotglm import match_paths

    n_states = len(connectivity)
    states, true = np.asarray(states), np.asarray(true_states)
    order = match_paths(states, true, n_states=n_states, n_reference_states=n_states)
    return Decoded(float((states == order[true]).mean()), connectivity[order])


def decode(model, test, spikes=None) -> Decoded:
    """States and couplings of the test sessions; `spikes` if the model reads others."""
    spikes = test["spikes"] if spikes is None else spikes
    states = model.predict_states(spikes, **given_to(model, test))
    return align(states, test["states"], model.connectivity_)


def matched(test, right, plain, *spikes, true=None, where=None) -> Measures:
    """States and couplings of the two fits against the truth, on the test sessions.

    `spikes` are what the two fits decode, if not the test's; `true` is a model that has the
    true parameters (`onehotglm.true_model`); `where` (post, pre) picks couplings.
    """
    read = spikes or (None, None)
    found = [decode(model, test, s) for model, s in zip((right, plain), read, strict=True)]
    reached = UNKNOWN if true is None else decode(true, test).accuracy
    return {
        "state accuracy": (*(each.accuracy for each in found), reached),
        **couplings_measures([each.couplings for each in found], test, where),
    }


def couplings_measures(found, test, where=None) -> Measures:
    """Couplings (state, post, pre) of two fits against the truth's, all or only some."""
    true = test["connectivity"].transpose("state", "post", "pre").values
    chosen = (Ellipsis,) if where is None else (slice(None), where)
    true, pairs = true[chosen], [couplings[chosen] for couplings in found]
    return {
        "couplings' correlation": (*(correlation(pair, true) for pair in pairs), 1.0),
        "couplings' relative MSE": (
            *(rms(pair - true) ** 2 / rms(true) ** 2 for pair in pairs),
            0.0,
        ),
    }
