"""Rows of the table of options: links and observations."""

from option_criteria import at_least, at_most
from option_rows import (
    UNKNOWN,
    Measures,
    correlation,
    fit,
    matched,
    rms,
    row,
    scores,
    simulate,
    split,
)

SPREAD = {"log-dispersions' correlation": at_least(0.9), "log-dispersions' rms error": at_most(0.2)}


def _with_link(seed: int, link: str) -> Measures:
    from onehotglm import true_model

    train, test = split(simulate(seed, link=link, mean_rate=30.0))
    right, plain = (fit(train["spikes"], link=name) for name in (link, "softplus"))
    true = true_model(right, test)
    return {
        "held-out bits/spike": scores(test, right, plain, true),
        **matched(test, right, plain, true=true),
    }


@row("link='log1p_softplus'", truth="counts through that link")
def link_log1p_softplus(seed: int) -> Measures:
    return _with_link(seed, "log1p_softplus")


@row("link='sqrt_softplus'", truth="counts through that link")
def link_sqrt_softplus(seed: int) -> Measures:
    return _with_link(seed, "sqrt_softplus")


def _observed(seed: int, observation: str, link: str, dispersion=None):
    """Simulate and split a population whose data have another distribution."""
    import numpy as np

    from onehotglm import simulate_from

    known = simulate(seed, link="softplus" if link == "identity" else link)
    parameters = known.drop_vars(["spikes", "states", "rates"]).assign_attrs(
        link=link, observation=observation
    )
    if dispersion is not None:
        spread = np.geomspace(dispersion / 2, dispersion * 2, parameters.sizes["neuron"])
        parameters["dispersion"] = ("neuron", spread)
    sizes = {"n_sessions": known.sizes["session"], "n_time_bins": known.sizes["time"]}
    return split(simulate_from(parameters, **sizes, random_state=1000 + seed))


def _dispersions(right, test) -> Measures:
    """Those of the fit with the option; the plain model has none."""
    import numpy as np

    found, true = np.log(right.dispersion_), np.log(test["dispersion"].values)
    return {
        "log-dispersions' correlation": (correlation(found, true), UNKNOWN, 1.0),
        "log-dispersions' rms error": (rms(found - true), UNKNOWN, 0.0),
    }


@row(
    "observation='negative_binomial'",
    truth="counts of variance f + a f^2, a from 0.75 to 3",
    recovered=SPREAD,
)
def negative_binomial(seed: int) -> Measures:
    from onehotglm import true_model

    train, test = _observed(seed, "negative_binomial", "softplus", 1.5)
    right = fit(train["spikes"], observation="negative_binomial")
    plain = fit(train["spikes"])
    true = true_model(right, test)
    return {
        "held-out bits/spike": scores(test, right, plain, true),
        **matched(test, right, plain, true=true),
        **_dispersions(right, test),
    }


@row("observation='bernoulli'", truth="zeros and ones; plain: Poisson, sigmoid link")
def bernoulli(seed: int) -> Measures:
    from onehotglm import true_model
    from onehotglm.estimator.scoring import score_bits

    train, test = _observed(seed, "bernoulli", "sigmoid")
    right = fit(train["spikes"], observation="bernoulli", link="sigmoid")
    plain = fit(train["spikes"], link="sigmoid")
    true, spikes = true_model(right, test), test["spikes"]
    # All over the same baseline, constant probabilities; the plain model's own are rates.
    bits = tuple(
        score_bits("bernoulli", model.log_likelihood(spikes), spikes, right.mean_counts_)
        for model in (right, plain, true)
    )
    return {"held-out bits/spike": bits, **matched(test, right, plain, true=true)}


@row(
    "observation='gaussian'",
    truth="signals, variances from 0.15 to 0.6; plain: Poisson on the signals cut to counts",
    recovered=SPREAD,
)
def gaussian(seed: int) -> Measures:
    import numpy as np

    from onehotglm import true_model

    train, test = _observed(seed, "gaussian", "identity", 0.3)
    right = fit(train["spikes"], observation="gaussian", link="identity")
    counts = [
        np.rint(np.maximum(d["spikes"], 0)).assign_attrs(bin_size=0.02) for d in (train, test)
    ]
    plain, true = fit(counts[0]), true_model(right, test)
    bits, true_bits = scores(test, right, true)
    return {
        "held-out bits/sample": (bits, UNKNOWN, true_bits),
        **matched(test, right, plain, test["spikes"], counts[1], true=true),
        **_dispersions(right, test),
    }
