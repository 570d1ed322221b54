"""Rows of the table of options: what is known of the couplings beforehand."""

from option_rows import Measures, correlation, fit, row, simulate, split


def _compare(right, plain, test) -> dict[str, tuple[float, float]]:
    """Held-out bits, and couplings between different neurons against the truth's."""
    import numpy as np

    n_neurons = test.sizes["neuron"]
    between = ~np.eye(n_neurons, dtype=bool)
    true = test["connectivity"].values
    errors = [_couplings(model, test) - true for model in (right, plain)]
    return {
        "held-out bits/spike": (right.score(test["spikes"]), plain.score(test["spikes"])),
        "couplings' correlation": tuple(
            correlation((true + error)[:, between], true[:, between]) for error in errors
        ),
        "couplings' rms error": tuple(_rms(error[:, between]) for error in errors),
        "self-history's rms error": tuple(_rms(error[:, ~between]) for error in errors),
    }


def _rms(error) -> float:
    return float((error**2).mean() ** 0.5)


def _couplings(model, test):
    """Fitted couplings (state, post, pre), states as in the truth."""
    from onehotglm import match_paths

    order = match_paths(model.predict_states(test["spikes"]), test["states"])
    return model.connectivity_[order]


def _with_self_history(seed: int, own, n_train: int = 4, **options: float):
    """Simulate once more with self-histories (state, neuron) of our choice, sum over lags."""
    import numpy as np

    from onehotglm import simulate_from

    truth = simulate(seed, **options)
    weights, total = truth["weights"].values.copy(), truth["connectivity"].values.copy()
    index = np.arange(truth.sizes["neuron"])
    weights[:, index, index, 0] = own
    total[:, index, index] = own
    changed = truth.assign(
        weights=(truth["weights"].dims, weights), connectivity=(truth["connectivity"].dims, total)
    )
    recorded = simulate_from(changed, n_sessions=n_train + 4, n_time_bins=1500, random_state=seed)
    return split(recorded)


@row("self_history='shared'", truth="refractoriness that all states share")
def self_history_shared(seed: int) -> Measures:
    import numpy as np

    own = np.random.default_rng(seed).uniform(-6.0, -3.0, 8)
    train, test = _with_self_history(seed, own)
    models = (
        fit(train["spikes"], prior="gaussian", self_history=option, self_ridge=ridge)
        for option, ridge in (("shared", 0.05), ("coupling", None))
    )
    return _compare(*models, test)


@row("self_history='per_state'", truth="self-history of another sign in each state, few couplings")
def self_history_per_state(seed: int) -> Measures:
    import numpy as np

    rng = np.random.default_rng(seed)
    own = rng.uniform(2.0, 5.0, (2, 8)) * np.array([[-1.0], [0.1]])
    train, test = _with_self_history(seed, own, coupling_gain=0.5)
    models = (
        fit(train["spikes"], prior="one-hot", self_history=option, self_ridge=ridge)
        for option, ridge in (("per_state", 0.05), ("coupling", None))
    )
    return _compare(*models, test)


@row("self_history='none'", truth="no self-history, short recording")
def self_history_none(seed: int) -> Measures:
    train, test = _with_self_history(seed, 0.0, n_train=2)
    models = (fit(train["spikes"], self_history=option) for option in ("none", "coupling"))
    return _compare(*models, test)


def _with_dale(seed: int, prior: str, given: bool) -> Measures:
    """Couplings from a short recording of neurons that each have one sign."""
    import numpy as np

    truth = simulate(seed, n_neurons=12, density=0.4)
    train, test = split(truth)
    train = train.isel(session=slice(2))
    true_sign = np.sign(truth["connectivity"].sum(("state", "post")).values).astype(int)
    right = fit(train["spikes"], prior=prior, dale=true_sign if given else "infer")
    plain = fit(train["spikes"], prior=prior)
    between = ~np.eye(12, dtype=bool)
    # Without the law a neuron's sign is that of its couplings' sum.
    summed = np.sign((plain.connectivity_ * between).sum((0, 1)))
    known = true_sign != 0
    found = _compare(right, plain, test)
    found.pop("self-history's rms error")
    return found | {
        "part of the neurons' signs right": tuple(
            float((sign == true_sign)[known].mean()) for sign in (right.neuron_sign_, summed)
        )
    }


@row("dale='infer'", truth="every neuron has one sign, no prior")
def dale_infer(seed: int) -> Measures:
    return _with_dale(seed, "none", given=False)


@row("dale=signs", truth="every neuron has one sign, no prior")
def dale_given(seed: int) -> Measures:
    return _with_dale(seed, "none", given=True)


@row("dale='infer'", truth="every neuron has one sign, Gaussian prior")
def dale_infer_gaussian(seed: int) -> Measures:
    return _with_dale(seed, "gaussian", given=False)


@row("dale='infer'", truth="every neuron has one sign, one-hot prior")
def dale_infer_one_hot(seed: int) -> Measures:
    return _with_dale(seed, "one-hot", given=False)
