"""Coverage of intervals of couplings, and reliability of type probabilities.

    python benchmarks/calibration.py --out results/calibration.csv --figure results/types.png
    python benchmarks/calibration.py --methods vi --guides structured mean_field
    python benchmarks/calibration.py --observation negative_binomial --priors none

Every recording is drawn from the model's own prior (`draw`): hyperparameters are fixed, types and
strengths are drawn per state as the prior says, spikes follow in closed loop.  Draws whose rates
run away are drawn again, which happens with unbounded links only.  Coverage is the part of all
couplings of all recordings whose true value lies in the interval; its own interval of 95 % comes
from resampling recordings.  An interval of a mixture with an atom at zero holds at least its
level: `stated` is what the posterior says that it holds, and coverage should be that.

Laplace's intervals of fits by EM (states given, or uncertain) and those of variational fits are
measured alike, on the same recordings.
"""

import argparse
import warnings
from collections.abc import Iterable
from pathlib import Path

from measuring import Table, use_threads

PRIORS = ("none", "gaussian", "one-hot")
# Hyperparameters of the draws.
RIDGE = 4.0
MEAN_SD, SPREAD, SPREAD_DF = 0.5, 0.1, 2.0
PROPORTIONS = (0.2, 0.5, 0.3)
SLAB_MEAN, SLAB_SD = (1.0, 0.8), (0.4, 0.3)
BIAS_MEAN, BIAS_SD = -1.0, 1.0
STAY = 0.98
MOST_COUNTS = 20.0
DISPERSION = {"negative_binomial": 0.5, "gaussian": 0.25}


def draw(
    prior: str,
    seed: int,
    *,
    n_neurons: int = 6,
    n_states: int = 3,
    n_time_bins: int = 4000,
    n_sessions: int = 4,
    link: str = "sigmoid",
    observation: str = "poisson",
):
    """Simulate as `simulate_population` does, with parameters from the model's prior."""
    import numpy as np

    rng = np.random.default_rng([seed, PRIORS.index(prior)])
    for _ in range(1000):
        weights, types = _weights(rng, prior, n_states, n_neurons)
        bias = rng.normal(BIAS_MEAN, BIAS_SD, (n_states, n_neurons))
        truth = _simulate(
            rng, weights, types, bias, link, observation, n_sessions, n_time_bins // n_sessions
        )
        counts = truth["spikes"].values
        if np.isfinite(counts).all() and counts.mean((0, 1)).max() < MOST_COUNTS:
            return truth
    raise SystemExit(f"no draw of 1000 with the prior {prior!r} and the link {link!r} was stable")


def _weights(rng, prior: str, n_states: int, n_neurons: int):
    """Couplings (state, post, pre) and their types."""
    import numpy as np
    from scipy.stats import truncnorm

    pairs = (n_neurons, n_neurons)
    shape = (n_states, *pairs)
    if prior == "none":
        weights = rng.normal(0, RIDGE**-0.5, shape)
        return weights, np.sign(weights).astype(int)
    if prior == "gaussian":
        spread = np.sqrt(SPREAD_DF * SPREAD**2 / rng.chisquare(SPREAD_DF, pairs))
        weights = rng.normal(0, MEAN_SD, pairs) + spread * rng.normal(size=shape)
        return weights, np.sign(weights).astype(int)
    from onehotglm.model.priors import TYPE_PSEUDO_STATES

    concentration = TYPE_PSEUDO_STATES * np.array(PROPORTIONS)
    proba = rng.dirichlet(concentration, pairs)
    types = (rng.random((*shape, 1)) >= np.cumsum(proba, -1)[..., :2]).sum(-1) - 1
    side = (types > 0).astype(int)
    mean, sd = np.array(SLAB_MEAN)[side], np.array(SLAB_SD)[side]
    strength = truncnorm.rvs(-mean / sd, np.inf, mean, sd, random_state=rng)
    return types * strength, types


def _simulate(
    rng, weights, types, bias, link: str, observation: str, n_sessions: int, n_time_bins: int
):
    import jax
    import jax.numpy as jnp
    import numpy as np
    import xarray as xr

    from onehotglm.kernels.history import make_basis
    from onehotglm.kernels.rollout import rollout

    n_states = len(weights)
    basis = make_basis("exponential", 5)
    leave = (1 - STAY) / max(n_states - 1, 1)
    transition = np.full((n_states, n_states), leave) + np.eye(n_states) * (STAY - leave)
    initial = np.full(n_states, 1 / n_states)
    dispersion = DISPERSION.get(observation)
    out = rollout(
        jax.random.key(int(rng.integers(2**31))),
        *(jnp.asarray(x) for x in (bias, weights[..., None], basis, transition, initial)),
        link=link,
        n_sessions=n_sessions,
        n_time_bins=n_time_bins,
        observation=observation,
        dispersion=None if dispersion is None else jnp.full(bias.shape[1], dispersion),
    )
    dims = ("session", "time", "neuron")
    couple = ("state", "post", "pre")
    return xr.Dataset(
        {
            "spikes": (dims, np.asarray(out.counts), {"bin_size": 1.0}),
            "states": (dims[:2], np.asarray(out.states)),
            "weights": ((*couple, "basis"), weights[..., None]),
            "connectivity": (couple, weights),
            "connection_type": (couple, types),
            "bias": (("state", "neuron"), bias),
            "transition_matrix": (("state", "next_state"), transition),
            "initial_proba": ("state", initial),
            "basis_functions": (("basis", "lag"), basis),
        },
        attrs={"link": link, "observation": observation, "bin_size": 1.0},
    )


# ------------------------------------------------------------------------------ measuring


def matched(model, intervals, truth):
    """Intervals with the states in the order of the truth, and the accuracy of the states."""
    import numpy as np

    from onehotglm import match_paths, reorder_states

    n_states = truth.sizes["state"]
    states = model.predict_states(truth["spikes"])
    order = match_paths(
        states.values, truth["states"].values, n_states=n_states, n_reference_states=n_states
    )
    accuracy = float((np.argsort(order)[states.values] == truth["states"].values).mean())
    return reorder_states(intervals, order), accuracy


def measure(intervals, truth) -> dict[str, float]:
    """Coverage of one recording.

    `intervals` has ``connectivity_low`` and ``connectivity_high``, states in the order of the
    truth; with ``connection_type_proba`` too, couplings that exist are counted apart.
    """
    true = truth["connectivity"].values
    low, high = (intervals[f"connectivity_{end}"].values for end in ("low", "high"))
    inside = (low <= true) & (true <= high)
    measures = {"covered": inside.mean(), "width": (high - low).mean()}
    # Couplings whose interval is more than the single point zero.
    wide = high > low
    measures["covered_wide"] = inside[wide].mean() if wide.any() else float("nan")
    measures["wide"] = wide.mean()
    if "connection_type_proba" in intervals:
        absent = intervals["connection_type_proba"].values[..., 1]
        level = intervals.attrs["level"]
        # An atom at an end of the interval, or all of it, lies inside as a whole.
        tail = (1 - level) / 2
        inhibitory = intervals["connection_type_proba"].values[..., 0]
        outside = _outside(inhibitory, absent, tail)
        measures["stated"] = (1 - outside).mean()
        exists = truth["connection_type"].values != 0
        measures["covered_existing"] = inside[exists].mean()
    else:
        measures |= {"stated": intervals.attrs["level"], "covered_existing": float("nan")}
    return {name: float(value) for name, value in measures.items()}


def _outside(inhibitory, absent, tail: float):
    """Posterior mass outside equal-tailed intervals of a mixture with an atom at zero."""
    import numpy as np

    up_to_zero = inhibitory + absent
    below = np.where((inhibitory <= tail) & (tail <= up_to_zero), inhibitory, tail)
    above = np.where((inhibitory <= 1 - tail) & (1 - tail <= up_to_zero), 1 - up_to_zero, tail)
    return below + above


def reliability(proba, types, n_groups: int = 10):
    """Stated and observed frequency of every type in groups of like probability, as a table.

    Every connection counts once per type: ``proba`` (..., type) against whether it is that type.
    """
    import numpy as np
    import pandas as pd

    said = np.concatenate([p.reshape(-1, 3) for p in proba]).ravel()
    is_so = np.concatenate([(t.reshape(-1, 1) == np.array([-1, 0, 1])) for t in types]).ravel()
    group = np.minimum((said * n_groups).astype(int), n_groups - 1)
    frame = pd.DataFrame({"group": group, "stated": said, "observed": is_so.astype(float)})
    table = frame.groupby("group").agg(
        stated=("stated", "mean"), observed=("observed", "mean"), n=("stated", "size")
    )
    return table.reset_index(drop=True)


def calibration_error(table) -> float:
    """Weighted mean distance of stated and observed (expected calibration error)."""
    distance = (table["stated"] - table["observed"]).abs()
    return float((distance * table["n"]).sum() / table["n"].sum())


def resampled(values: Iterable[float], n_resamples: int = 2000) -> tuple[float, float]:
    """Interval of 95 % of the mean over recordings."""
    import numpy as np

    values = np.asarray(list(values), float)
    draws = np.random.default_rng(0).integers(len(values), size=(n_resamples, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return float(low), float(high)


def plot(tables: dict[str, object], path: Path) -> None:
    """Reliability diagram."""
    import matplotlib.pyplot as plt
    import numpy as np

    from onehotglm.plots import style

    with plt.rc_context(style()):
        _, axes = plt.subplots(
            1, len(tables), figsize=(3.4 * len(tables), 3.4), layout="constrained", squeeze=False
        )
        for ax, (name, table) in zip(axes[0], tables.items(), strict=True):
            error = np.sqrt(table["observed"] * (1 - table["observed"]) / table["n"])
            ax.plot([0, 1], [0, 1], color="#9ca3af", linewidth=0.8)
            ax.errorbar(
                table["stated"],
                table["observed"],
                1.96 * error,
                fmt="o",
                color="#0f766e",
                ms=4,
                elinewidth=1,
            )
            ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
            ax.set_xlabel("Stated probability of a type")
            ax.set_ylabel("How often it is that type")
            ax.set_title(f"{name}, calibration error {calibration_error(table):.3f}")
        plt.savefig(path, dpi=160)


# -------------------------------------------------------------------------------- fitting


def posteriors(args: argparse.Namespace, prior: str, truth):
    """Name of every method, its model, and its intervals."""
    from onehotglm import OneHotHMMGLM

    options = {"n_states": args.n_states, "prior": prior, "link": args.link, "ridge": RIDGE}
    options["observation"] = args.observation
    model = OneHotHMMGLM(**options, n_init=args.n_init, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "em" in args.methods:
            model.fit(truth["spikes"])
            for states in ("given", "uncertain"):
                yield states, model, model.standard_errors(truth["spikes"], states, args.level)
        for guide in args.guides if "vi" in args.methods else ():
            model.set_params(method="vi", guide=guide).fit(truth["spikes"])
            yield guide, model, model.posterior(args.level)


def calibrate(args: argparse.Namespace, prior: str, table: Table):
    """Rows of one prior; for the diagram, pairs of type probabilities and types by method."""
    pairs = {}
    for seed in range(args.n_recordings):
        truth = draw(
            prior, seed, n_neurons=args.n_neurons, n_states=args.n_states,
            n_time_bins=args.n_time_bins, link=args.link, observation=args.observation,
        )  # fmt: skip
        types = truth["connection_type"].values
        for name, model, intervals in posteriors(args, prior, truth):
            intervals, accuracy = matched(model, intervals, truth)
            row = {"prior": prior, "seed": seed, "method": name, "accuracy": accuracy}
            table.add(row | measure(intervals, truth))
            if prior == "one-hot":
                proba = intervals["connection_type_proba"].values
                pairs.setdefault(name, []).append((proba, types))
            if prior == "one-hot" and name == "given":
                fit, _ = matched(model, model.to_dataset(), truth)
                proba = fit["connection_type_proba"].values
                pairs.setdefault("fit", []).append((proba, types))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--priors", type=lambda text: text.split(","), default=PRIORS)
    parser.add_argument("--methods", nargs="+", choices=("em", "vi"), default=("em",))
    parser.add_argument("--guides", nargs="+", default=("structured",), help="of --methods vi")
    parser.add_argument("--n-recordings", type=int, default=24)
    parser.add_argument("--n-neurons", type=int, default=6)
    parser.add_argument("--n-states", type=int, default=3)
    parser.add_argument("--n-time-bins", type=int, default=4000, help="in all, in four sessions")
    parser.add_argument("--link", choices=("sigmoid", "softplus", "exp"), default="sigmoid")
    parser.add_argument(
        "--observation",
        choices=("poisson", "bernoulli", "negative_binomial", "gaussian"),
        default="poisson",
    )
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--n-init", type=int, default=3, help="starts of each fit")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="the table, CSV")
    parser.add_argument("--figure", type=Path, help="reliability diagram, PNG")
    args = parser.parse_args()
    use_threads(args.threads)
    import pandas as pd

    table = Table(args.out)
    pairs = {}
    for prior in args.priors:
        pairs |= calibrate(args, prior, table)
    rows = pd.DataFrame(table.rows)
    print(f"\nmeans over {args.n_recordings} recordings, coverage with its interval of 95 %")
    groups = rows.groupby(["prior", "method"], sort=False)
    means = groups[[c for c in rows if c not in ("prior", "method", "seed")]].mean()
    bounds = groups["covered"].apply(lambda values: "{:.3f}-{:.3f}".format(*resampled(values)))
    print(means.round(3).assign(interval=bounds).to_string())
    if pairs:
        tables = {name: reliability(*zip(*found, strict=True)) for name, found in pairs.items()}
        for name, reliable in tables.items():
            print(
                f"\ntype probabilities ({name}): calibration error "
                f"{calibration_error(reliable):.4f}\n{reliable.round(3).to_string()}"
            )
        if args.figure is not None:
            plot(tables, args.figure)


if __name__ == "__main__":
    main()
