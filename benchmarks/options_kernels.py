"""Rows of the table of options: how couplings unfold over lags."""

from option_criteria import at_least, at_most
from option_rows import Measures, correlation, fit, matched, rms, row, scores, simulate, split

N_LAGS, N_NEURONS = 8, 5
SMOOTHNESS = 300.0
# Peaks of kernels, in bins: of each state, and of both.
OWN, COMMON = [(1.0, 4.0), (1.0, 4.0)], [(1.0, 4.0)]
KERNELS = {"kernels' correlation": at_least(0.85), "kernels' relative MSE": at_most(0.25)}


def _population(seed: int, peaks):
    """Record couplings with a rising and falling kernel of their own, over eight lags.

    `peaks` (state or 1, lowest and highest): where kernels may have their maximum, in bins;
    with one row the states share kernels.
    """
    import warnings

    import numpy as np

    from onehotglm import simulate_from

    with warnings.catch_warnings():  # of a gain that our kernels spread over more bins
        warnings.simplefilter("ignore")
        truth = simulate(seed, n_neurons=N_NEURONS, mean_rate=40.0, coupling_gain=1.8)
    rng = np.random.default_rng(seed)
    total = truth["connectivity"].transpose("state", "post", "pre").values[..., None]
    shape = (len(peaks), *total.shape[1:])
    low, high = np.transpose(peaks)[:, :, None, None, None]
    lags, peak = np.arange(1, N_LAGS + 1), rng.uniform(low, high, shape)
    # t exp(-t / peak) has its peak there; in half of them a wave of the other sign follows.
    rise, wave = lags * np.exp(-lags / peak), np.exp(-0.5 * (lags - 2 * peak - 1) ** 2)
    kernel = rise / rise.sum(-1, keepdims=True) - rng.choice([0.0, 0.15], shape) * wave
    kernel /= np.abs(kernel).sum(-1, keepdims=True)
    changed = truth.drop_dims(("basis", "lag")).assign(
        weights=(("state", "post", "pre", "basis"), total * kernel),
        basis_functions=(("basis", "lag"), np.eye(N_LAGS)),
        connectivity=(("state", "post", "pre"), (total * kernel).sum(-1)),
    )
    recorded = simulate_from(changed, n_sessions=12, n_time_bins=1500, random_state=seed)
    return split(recorded)


def _kernels(model, test):
    """Fitted kernels (state, post, pre, lag), states as in the truth."""
    from onehotglm import match_paths

    order = match_paths(model.predict_states(test["spikes"]), test["states"])
    return (model.weights_ @ model.basis_functions_)[order]


def _measure(seed: int, peaks, right: dict, plain: dict, **common) -> Measures:
    """Two fits to one population."""
    from onehotglm import true_model

    train, test = _population(seed, peaks)
    settings = {"basis": "lags", "n_lags": N_LAGS, "n_init": 2} | common
    models = [fit(train["spikes"], **settings | options) for options in (right, plain)]
    true, reached = test["weights"].values, true_model(models[0], test)
    found = [_kernels(model, test) for model in models]
    return {
        "held-out bits/spike": scores(test, *models, reached),
        **matched(test, *models, true=reached),
        "kernels' correlation": (*(correlation(one, true) for one in found), 1.0),
        "kernels' relative MSE": (*((rms(one - true) / rms(true)) ** 2 for one in found), 0.0),
    }


@row("smoothness=300", truth="another smooth kernel per connection and state", recovered=KERNELS)
def smooth_kernels(seed: int) -> Measures:
    return _measure(seed, OWN, {"smoothness": SMOOTHNESS}, {})


@row("smoothness=300", truth="the same, in six raised cosines", recovered=KERNELS)
def smooth_cosines(seed: int) -> Measures:
    cosines = {"basis": "raised_cosine", "n_basis": 6}
    return _measure(seed, OWN, {"smoothness": SMOOTHNESS}, {}, **cosines)


@row("kernel='shared'", truth="a kernel per connection that the states share", recovered=KERNELS)
def shared_kernels(seed: int) -> Measures:
    return _measure(seed, COMMON, {"kernel": "shared"}, {})


@row("kernel='shared'", truth="the same, both fits smooth", recovered=KERNELS)
def shared_smooth_kernels(seed: int) -> Measures:
    return _measure(seed, COMMON, {"kernel": "shared"}, {}, smoothness=SMOOTHNESS)


@row("kernel='shared'", truth="the same, both fits smooth, one-hot prior", recovered=KERNELS)
def shared_smooth_one_hot(seed: int) -> Measures:
    options = {"smoothness": SMOOTHNESS, "prior": "one-hot"}
    return _measure(seed, COMMON, {"kernel": "shared"}, {}, **options)


@row(
    "kernel='per_state'",
    truth="fast kernels in one state, slow ones in the other; plain is 'shared', both smooth",
    recovered=KERNELS,
)
def kernels_per_state(seed: int) -> Measures:
    peaks = [(1.0, 1.5), (3.5, 4.5)]
    return _measure(seed, peaks, {}, {"kernel": "shared"}, smoothness=SMOOTHNESS)
