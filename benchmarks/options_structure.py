"""Rows of the table of options: what is known of the couplings beforehand."""

from option_criteria import at_least, at_most
from option_rows import UNKNOWN, Measures, decode, fit, matched, rms, row, scores, simulate, split

OWN = {"self-history's relative error": at_most(0.15)}
# By strength: who sends next to nothing has no sign to be found.
SIGNS = {"part of the strength with the right sign": at_least(0.95)}


def _compare(right, plain, test) -> dict[str, tuple[float, ...]]:
    """Held-out bits, states, and couplings between different neurons."""
    import numpy as np

    from onehotglm import true_model

    true, between = true_model(right, test), ~np.eye(test.sizes["neuron"], dtype=bool)
    return {
        "held-out bits/spike": scores(test, right, plain, true),
        **matched(test, right, plain, true=true, where=between),
    }


def _own_errors(right, plain, test) -> tuple[float, ...]:
    """Root mean square errors of self-histories summed over lags, and the truth's own size."""
    import numpy as np

    index = np.arange(test.sizes["neuron"])
    true = test["connectivity"].values[:, index, index]
    found = (decode(model, test).couplings[:, index, index] for model in (right, plain))
    return *(rms(own - true) for own in found), rms(true)


def _with_self_history(seed: int, own, n_train: int = 8, **options: float):
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


def _apart(seed: int, prior: str, option: str, own, **simulated: float) -> Measures:
    """Self-histories outside the prior, beside those under it like any coupling."""
    train, test = _with_self_history(seed, own, **simulated)
    right = fit(train["spikes"], prior=prior, self_history=option, self_ridge=0.05)
    plain = fit(train["spikes"], prior=prior)
    *errors, size = _own_errors(right, plain, test)
    return _compare(right, plain, test) | {
        "self-history's relative error": (*(error / size for error in errors), 0.0)
    }


@row(
    "self_history='shared'",
    truth="refractoriness that all states share, Gaussian prior",
    recovered=OWN,
)
def self_history_shared(seed: int) -> Measures:
    import numpy as np

    return _apart(seed, "gaussian", "shared", np.random.default_rng(seed).uniform(-6.0, -3.0, 8))


@row(
    "self_history='per_state'",
    truth="self-history of another sign in each state, one-hot prior",
    recovered=OWN,
)
def self_history_per_state(seed: int) -> Measures:
    import numpy as np

    own = np.random.default_rng(seed).uniform(2.0, 5.0, (2, 8)) * np.array([[-1.0], [0.1]])
    # As many inhibitory as excitatory couplings: strong self-inhibition under the prior widens
    # its inhibitory slab, which finds fewer weak inhibitory couplings, true ones and false ones.
    signs = {"density": 0.3, "excitatory_fraction": 0.5}
    return _apart(seed, "one-hot", "per_state", own, **signs)


@row("self_history='none'", truth="no self-history")
def self_history_none(seed: int) -> Measures:
    train, test = _with_self_history(seed, 0.0)
    right, plain = (fit(train["spikes"], self_history=option) for option in ("none", "coupling"))
    *errors, _ = _own_errors(right, plain, test)
    return _compare(right, plain, test) | {"self-history's rms error": (*errors, 0.0)}


def _with_dale(seed: int, prior: str, given: bool) -> Measures:
    """Couplings of neurons that each have one sign."""
    import numpy as np

    truth = simulate(seed, n_neurons=12, density=0.4)
    train, test = split(truth)
    sent = truth["connectivity"].sum(("state", "post")).values
    true_sign = np.sign(sent).astype(int)
    right = fit(train["spikes"], prior=prior, dale=true_sign if given else "infer")
    plain = fit(train["spikes"], prior=prior)
    # Without the law a neuron's sign is that of its couplings' sum.
    between = ~np.eye(12, dtype=bool)
    summed = np.sign((plain.connectivity_ * between).sum((0, 1)))
    agree = [sign[sent != 0] == true_sign[sent != 0] for sign in (right.neuron_sign_, summed)]
    strength = np.abs(sent[sent != 0])
    return _compare(right, plain, test) | {
        "part of the neurons with the right sign": (*(a.mean() for a in agree), UNKNOWN),
        "part of the strength with the right sign": (
            *(np.average(a, weights=strength) for a in agree),
            UNKNOWN,
        ),
    }


@row("dale='infer'", truth="every neuron has one sign, no prior", recovered=SIGNS)
def dale_infer(seed: int) -> Measures:
    return _with_dale(seed, "none", given=False)


@row("dale=signs", truth="every neuron has one sign, no prior", recovered=SIGNS)
def dale_given(seed: int) -> Measures:
    return _with_dale(seed, "none", given=True)


@row("dale='infer'", truth="every neuron has one sign, Gaussian prior", recovered=SIGNS)
def dale_infer_gaussian(seed: int) -> Measures:
    return _with_dale(seed, "gaussian", given=False)


@row("dale='infer'", truth="every neuron has one sign, one-hot prior", recovered=SIGNS)
def dale_infer_one_hot(seed: int) -> Measures:
    return _with_dale(seed, "one-hot", given=False)
