"""Rows of the table of options: links, observations, covariates, input-driven transitions."""

from option_rows import Measures, fit, row, simulate, split


def _with_link(seed: int, link: str, **options: float) -> Measures:
    from onehotglm.evaluation import recovery

    truth = simulate(seed, link=link, **options)
    train, test = split(truth)
    right, plain = (fit(train["spikes"], link=name) for name in (link, "softplus"))
    errors = [recovery(model, test) for model in (right, plain)]
    return {
        "held-out bits/spike": (right.score(test["spikes"]), plain.score(test["spikes"])),
        "couplings' correlation": tuple(e["connectivity_correlation"] for e in errors),
        "state accuracy": tuple(e["state_accuracy"] for e in errors),
    }


@row("link='log1p_softplus'", truth="counts through that link")
def link_log1p_softplus(seed: int) -> Measures:
    return _with_link(seed, "log1p_softplus", mean_rate=30.0)


@row("link='sqrt_softplus'", truth="counts through that link")
def link_sqrt_softplus(seed: int) -> Measures:
    return _with_link(seed, "sqrt_softplus", mean_rate=30.0)
