"""Variational inference against EM and against NUTS.

    python benchmarks/variational.py agree --threads 1 --out results/variational_agree.csv
    python benchmarks/variational.py nuts --out results/variational_nuts.csv

`agree` fits the published synthetic benchmark by EM and with each guide.  `nuts` draws from
the exact posterior of a small recording and compares means, standard deviations and type
probabilities.  The recording has to tell its states apart (`accuracy`): otherwise the exact
posterior has several modes, of which a guide describes one.  Coverage and calibration:
`benchmarks/calibration.py --methods vi`.
"""

import argparse
from pathlib import Path

from measuring import Stopwatch, Table, find_data, use_threads

GUIDES = ("mean_field", "low_rank", "structured")
# Shifts are in units of the exact standard deviation, or of this where it is smaller: under the
# one-hot prior a coupling may be known to be absent.
SMALLEST_SD = 0.05


# ------------------------------------------------------------------------ EM and VI agree


def agree(args: argparse.Namespace) -> None:
    import numpy as np
    from recovery import make_model, measure, read

    truth = read(find_data("demo_seed0.npz"))
    spikes = truth["spikes"].isel(session=slice(args.n_train))
    table = Table(args.out)
    em = None
    for guide in (None, *args.guides):
        model = make_model("one-hot", 3, 0)
        if guide is not None:
            model.set_params(method="vi", guide=guide)
        with Stopwatch() as watch:
            model.fit(spikes)
        with Stopwatch() as again:
            model.fit(spikes)
        em = model if em is None else em
        measures = measure(model, truth, args.n_train)
        correlation = np.corrcoef(model.connectivity_.ravel(), em.connectivity_.ravel())[0, 1]
        table.add(
            {
                "fit": "EM" if guide is None else guide,
                "correlation_with_EM": correlation,
                **{
                    name: measures[name]
                    for name in (
                        "bits_per_spike",
                        "of_the_truth",
                        "connectivity_mse",
                        "type_balanced_accuracy",
                        "state_accuracy",
                    )
                },
                "first_cpu_s": watch.cpu,
                "compile_s": watch.compile_seconds,
                "second_cpu_s": again.cpu,
                "n_iter": model.n_iter_,
                "elbo": float("nan") if guide is None else float(model.elbo_path_[-3:].mean()),
                "stopped_by": model.stop_reason_,
            }
        )


# -------------------------------------------------------------------------- NUTS and VI


def nuts(args: argparse.Namespace) -> None:
    from calibration import draw

    from onehotglm import OneHotHMMGLM
    from onehotglm.estimator.exact import nuts as sample

    table = Table(args.out)
    size = {"n_states": 2, "n_neurons": 4, "n_sessions": 2, "n_time_bins": args.n_time_bins}
    truth = draw("one-hot", args.seed, **size)
    spikes = truth["spikes"]
    for prior in args.priors:
        options = {"n_states": 2, "prior": prior, "link": truth.attrs["link"], "progress": False}
        start = OneHotHMMGLM(**options, dtype="float64").fit(spikes)
        right = (start.predict_states(spikes).values == truth["states"].values).mean()
        with Stopwatch() as watch:
            tree = sample(
                start, spikes, n_warmup=args.n_warmup, n_draws=args.n_draws, n_chains=args.n_chains
            )
        draws = tree["posterior"].to_dataset()
        for guide in args.guides:
            model = OneHotHMMGLM(**options, method="vi", guide=guide).fit(spikes)
            posterior = _like_the_draws(model, draws)
            for name in ("connectivity", "bias"):
                table.add(
                    {
                        "prior": prior,
                        "guide": guide,
                        "accuracy": float(max(right, 1 - right)),
                        "of": name,
                        **compare(draws[name].values, posterior, name),
                        "type_difference": _type_difference(posterior, draws),
                        "nuts_cpu_s": watch.cpu,
                    }
                )


def compare(exact, posterior, name: str) -> dict[str, float]:
    """Moments and interval of a guide against draws (chain, draw, ...)."""
    import numpy as np
    from numpyro.diagnostics import effective_sample_size, gelman_rubin

    exact = exact.reshape(*exact.shape[:2], -1)
    # What was constant in all draws has no effective number.
    moving = exact.std((0, 1)) > 0
    mean, sd = exact.mean((0, 1)), exact.std((0, 1))
    unit = np.maximum(sd, SMALLEST_SD)
    ess = np.where(moving, effective_sample_size(exact), np.inf)
    shift = (posterior[f"{name}_mean"].values.ravel() - mean) / unit
    wide = sd > SMALLEST_SD
    ratio = (posterior[f"{name}_se"].values.ravel() / sd)[wide]
    low, high = (posterior[f"{name}_{end}"].values.ravel() for end in ("low", "high"))
    inside = ((low <= exact) & (exact <= high)).mean((0, 1))
    return {
        "n": len(mean),
        "mean_shift_sd": float(np.abs(shift).mean()),
        "max_shift_sd": float(np.abs(shift).max()),
        "monte_carlo_error_sd": float((sd / np.sqrt(ess) / unit).mean()),
        "n_wide": int(wide.sum()),
        "sd_ratio_median": float(np.median(ratio)),
        "sd_ratio_low": float(ratio.min()),
        "sd_ratio_high": float(ratio.max()),
        "in_90_interval": float(inside.mean()),
        "smallest_ess": float(ess.min()),
        "largest_r_hat": float(gelman_rubin(exact)[moving].max()),
    }


def _like_the_draws(model, draws):
    """Posterior with the states in the order of the sampler's."""
    from onehotglm import match_couplings, reorder_states

    exact = draws[["connectivity", "bias"]].mean(("chain", "draw"))
    return reorder_states(model.posterior(), match_couplings(model.to_dataset(), exact))


def _type_difference(posterior, draws) -> float:
    """Mean absolute difference of type probabilities from the sampler's."""
    import numpy as np

    if "connection_type_proba" not in posterior:
        return float("nan")
    types = draws["connection_type"].values[..., None] == np.array([-1, 0, 1])
    return float(np.abs(types.mean((0, 1)) - posterior["connection_type_proba"].values).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("agree", "nuts"))
    parser.add_argument("--guides", nargs="+", choices=GUIDES, default=GUIDES)
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="table, CSV")
    parser.add_argument("--n-train", type=int, default=30, help="agree: sessions")
    parser.add_argument("--priors", nargs="+", default=("none", "gaussian", "one-hot"))
    parser.add_argument("--seed", type=int, default=4, help="nuts: of the recording")
    parser.add_argument("--n-time-bins", type=int, default=2000, help="nuts: of both sessions")
    parser.add_argument("--n-warmup", type=int, default=500, help="nuts: draws thrown away")
    parser.add_argument("--n-draws", type=int, default=1000, help="nuts: draws per chain")
    parser.add_argument("--n-chains", type=int, default=2, help="nuts")
    args = parser.parse_args()
    use_threads(args.threads)
    {"agree": agree, "nuts": nuts}[args.what](args)


if __name__ == "__main__":
    main()
