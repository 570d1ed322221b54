"""Row of the table of options: inputs that drive the transitions between states."""

from option_criteria import at_least, at_most
from option_rows import (
    UNKNOWN,
    Measures,
    align,
    correlation,
    couplings_measures,
    fit,
    rms,
    row,
    simulate,
    split,
)

# Of the log-odds of going into a state, per standard deviation of an input.
EFFECT = 1.2
# Bins that an input keeps its value.
HOLD = 15


def _driven(seed: int):
    """Simulate three states that two slow inputs, in units of their own, drive into."""
    import numpy as np

    from onehotglm import simulate_from

    rng = np.random.default_rng(seed)
    known = simulate(seed, n_states=3, n_sessions=20)
    mean, sd = np.array([20.0, 0.0]), np.array([8.0, 0.5])
    weights = rng.normal(size=(3, 2))
    weights = (weights - weights.mean(0)) / weights.std(0)
    known = known.assign(
        transition_weights=(("state", "input"), EFFECT * weights / sd),
        transition_input_mean=("input", mean),
    )
    n_sessions, n_time_bins = known.sizes["session"], known.sizes["time"]
    values = rng.normal(size=(n_sessions, n_time_bins // HOLD, 2)).repeat(HOLD, axis=1)
    return split(
        simulate_from(
            known,
            n_sessions=n_sessions,
            n_time_bins=n_time_bins,
            random_state=seed,
            transition_inputs=mean + sd * values,
        )
    )


@row(
    "transition_inputs=v",
    truth="two slow inputs drive the transitions of three states",
    recovered={
        "weights' correlation": at_least(0.95),
        "weights' rms error per sd": at_most(0.25),
    },
)
def transitions(seed: int) -> Measures:
    from onehotglm import match_paths, true_model

    train, test = _driven(seed)
    options = {"n_states": 3, "prior": "gaussian"}
    given = {"transition_inputs": test["transition_inputs"]}
    right = fit(train["spikes"], {"transition_inputs": train["transition_inputs"]}, **options)
    plain = fit(train["spikes"], **options)
    true = true_model(right, test)
    models = ((right, given), (plain, {}), (true, given))
    paths = [model.predict_states(test["spikes"], **inputs) for model, inputs in models]
    found = [
        align(path, test["states"], model.connectivity_)
        for path, (model, _) in zip(paths, models, strict=True)
    ]
    order = match_paths(paths[0], test["states"], n_states=3, n_reference_states=3)
    sd = right.transition_input_sd_
    weights, true_weights = (
        x * sd for x in (right.transition_weights_[order], test["transition_weights"].values)
    )
    return {
        "held-out bits/spike": tuple(m.score(test["spikes"], **inputs) for m, inputs in models),
        "state accuracy": tuple(each.accuracy for each in found),
        **couplings_measures([each.couplings for each in found[:2]], test),
        "weights' correlation": (correlation(weights, true_weights), UNKNOWN, 1.0),
        "weights' rms error per sd": (rms(weights - true_weights), rms(true_weights), 0.0),
    }
