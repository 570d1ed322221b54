"""Row of the table of options: groups of neurons whose states switch independently."""

import copy
import warnings

from option_rows import (
    Decoded,
    Measures,
    align,
    couplings_measures,
    fit,
    row,
    scores,
    simulate,
    split,
)


def _decode_groups(model, test, groups) -> Decoded:
    """Mean accuracy over the groups' chains, and couplings onto each group in its states."""
    import numpy as np

    states = model.predict_states(test["spikes"])
    accuracies, couplings = [], np.zeros_like(model.connectivity_)
    for label in test["group"].values:
        own = states.sel(group=label) if "group" in states.dims else states
        found = align(own, test["states"].sel(group=label), model.connectivity_)
        accuracies.append(found.accuracy)
        members = groups == label
        couplings[:, members] = found.couplings[:, members]
    return Decoded(float(np.mean(accuracies)), couplings)


def _true_chains(chains, truth, groups):
    """Put the simulation's parameters into a copy of the fitted chains."""
    from onehotglm import true_model

    true = copy.copy(chains)
    true.chains_ = [
        true_model(chain, truth.isel(post=groups == label, neuron=groups == label))
        for label, chain in zip(chains.group_labels_, chains.chains_, strict=True)
    ]
    return true


@row("IndependentChains", truth="two groups that switch independently; plain: one chain")
def independent_chains(seed: int) -> Measures:
    import numpy as np

    from onehotglm import IndependentChains
    from onehotglm.simulate import simulate_independent_chains

    known = simulate(seed, n_neurons=12, n_sessions=20, mean_rate=20.0, rate_variation=0.8)
    groups = np.repeat(["left", "right"], 6)
    sizes = {"n_sessions": known.sizes["session"], "n_time_bins": known.sizes["time"]}
    train, test = split(simulate_independent_chains(known, groups, **sizes, random_state=seed))
    plain = fit(train["spikes"], prior="gaussian")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = IndependentChains(groups, plain).fit(train["spikes"])
    true = _true_chains(right, test, groups)
    found = [_decode_groups(model, test, groups) for model in (right, plain, true)]
    return {
        "held-out bits/spike": scores(test, right, plain, true),
        "state accuracy": tuple(each.accuracy for each in found),
        **couplings_measures([each.couplings for each in found[:2]], test),
    }
