"""Rows of the table of options: links and observations."""

from option_rows import Measures, correlation, fit, matched, row, simulate, split


def _with_link(seed: int, link: str, **options: float) -> Measures:
    truth = simulate(seed, link=link, **options)
    train, test = split(truth)
    right, plain = (fit(train["spikes"], link=name) for name in (link, "softplus"))
    return {
        "held-out bits/spike": (right.score(test["spikes"]), plain.score(test["spikes"])),
        **matched(test, right, plain),
    }


@row("link='log1p_softplus'", truth="counts through that link")
def link_log1p_softplus(seed: int) -> Measures:
    return _with_link(seed, "log1p_softplus", mean_rate=30.0)


@row("link='sqrt_softplus'", truth="counts through that link")
def link_sqrt_softplus(seed: int) -> Measures:
    return _with_link(seed, "sqrt_softplus", mean_rate=30.0)


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


@row("observation='negative_binomial'", truth="counts of variance f + a f^2, a from 0.75 to 3")
def negative_binomial(seed: int) -> Measures:
    import numpy as np

    train, test = _observed(seed, "negative_binomial", "softplus", 1.5)
    right = fit(train["spikes"], observation="negative_binomial")
    plain = fit(train["spikes"])
    agreement = correlation(np.log(right.dispersion_), np.log(train["dispersion"]))
    return {
        "held-out bits/spike": (right.score(test["spikes"]), plain.score(test["spikes"])),
        **matched(test, right, plain),
        "log-dispersions' correlation": (agreement, float("nan")),
    }


@row("observation='bernoulli'", truth="zeros and ones; plain: Poisson, sigmoid link")
def bernoulli(seed: int) -> Measures:
    train, test = _observed(seed, "bernoulli", "sigmoid")
    right = fit(train["spikes"], observation="bernoulli", link="sigmoid")
    plain = fit(train["spikes"], link="sigmoid")
    spikes = test["spikes"]
    # Per spike, without a baseline: the two models' baselines differ.
    bits = [float(m.log_likelihood(spikes).sum() / spikes.sum() / 0.693147) for m in (right, plain)]
    return {"held-out log-likelihood, bits/spike": tuple(bits), **matched(test, right, plain)}


@row("observation='gaussian'", truth="signals; plain: Poisson on the signals cut to counts")
def gaussian(seed: int) -> Measures:
    import numpy as np

    train, test = _observed(seed, "gaussian", "identity", 0.3)
    right = fit(train["spikes"], observation="gaussian", link="identity")
    counts = [
        np.rint(np.maximum(d["spikes"], 0)).assign_attrs(bin_size=0.02) for d in (train, test)
    ]
    plain = fit(counts[0])
    agreement = correlation(np.log(right.dispersion_), np.log(train["dispersion"]))
    return {
        **matched(test, right, plain, test["spikes"], counts[1]),
        "log-variances' correlation": (agreement, float("nan")),
        "held-out bits/sample": (right.score(test["spikes"]), float("nan")),
    }
