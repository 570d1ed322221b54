"""Row of the table of options: inputs that drive the transitions between states."""

from option_rows import Measures, correlation, fit, row, simulate, split


def _driven(seed: int, n_states: int = 3):
    """Simulate three states that two slow inputs, in their own units, drive into and out of."""
    import numpy as np

    from onehotglm import simulate_from

    rng = np.random.default_rng(seed)
    population = simulate(seed, n_states=n_states, n_sessions=1, n_time_bins=10)
    weights = rng.normal(size=(n_states, 2))
    weights -= weights.mean(0)
    # An effect of 1.2 per standard deviation.
    sd, mean = np.array([8.0, 0.5]), np.array([20.0, 0.0])
    weights *= 1.2 / weights.std(0) / sd
    population = population.assign(
        transition_weights=(("state", "input"), weights), transition_input_mean=("input", mean)
    )
    n_sessions, n_time_bins, hold = 12, 1500, 15
    slow = rng.normal(size=(n_sessions, n_time_bins // hold, 2)).repeat(hold, axis=1)
    recorded = simulate_from(
        population,
        n_sessions=n_sessions,
        n_time_bins=n_time_bins,
        random_state=seed,
        transition_inputs=mean + sd * slow,
    )
    return split(recorded)


@row("transition_inputs=v", truth="two slow inputs drive the transitions of three states")
def transitions(seed: int) -> Measures:
    import numpy as np

    from onehotglm import match_paths
    from onehotglm.evaluation import recovery

    train, test = _driven(seed)
    given = {"transition_inputs": test["transition_inputs"]}
    right = fit(train["spikes"], {"transition_inputs": train["transition_inputs"]}, n_states=3)
    plain = fit(train["spikes"], n_states=3)
    found = (right.predict_states(test["spikes"], **given), plain.predict_states(test["spikes"]))
    measured = [
        recovery(model, test, states) for model, states in zip((right, plain), found, strict=True)
    ]
    order = match_paths(found[0], test["states"], n_states=3, n_reference_states=3)
    true = test["transition_weights"].values
    weights = right.transition_weights_[order]
    error = ((weights - true) * right.transition_input_sd_).ravel()
    matrix = test["transition_matrix"].values
    nothing = float("nan")
    return {
        "held-out bits/spike": (
            right.score(test["spikes"], **given),
            plain.score(test["spikes"]),
        ),
        "state accuracy": tuple(m["state_accuracy"] for m in measured),
        "couplings' MSE": tuple(m["connectivity_mse"] for m in measured),
        "input weights' correlation": (correlation(weights, true), nothing),
        "input weights' rms error per sd": (float(np.sqrt((error**2).mean())), nothing),
        "transition matrix' largest error": tuple(
            float(np.abs(model.transition_matrix_[np.ix_(o, o)] - matrix).max())
            for model, o in (
                (right, order),
                (plain, match_paths(found[1], test["states"], n_states=3, n_reference_states=3)),
            )
        ),
    }
