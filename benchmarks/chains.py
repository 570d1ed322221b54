"""Whether one chain of states suffices for two groups of neurons: power and false alarms.

    python benchmarks/chains.py --seeds 20 --out results/chains.csv

Two groups of four neurons in two states, 24 sessions of 750 bins of 20 ms, every third held
out.  The states switch together (one chain) or independently; `compare_chains` is to tell
which from one fit of each model.  The comparison holds one chain with a state for each of the
four combinations too.
"""

import argparse
import warnings
from pathlib import Path

from measuring import Table, use_threads

TRUTHS = {True: "one chain suffices", False: "independent chains"}


def simulate(seed: int, *, together: bool, n_sessions: int, n_time_bins: int):
    """Spikes, and labels of the groups."""
    import numpy as np

    from onehotglm import simulate_from, simulate_population
    from onehotglm.simulate import simulate_independent_chains

    parameters = simulate_population(
        n_neurons=8,
        n_states=2,
        n_sessions=1,
        n_time_bins=10,
        mean_rate=20.0,
        rate_variation=0.8,
        random_state=seed,
    )
    groups = np.repeat(["left", "right"], 4)
    sizes = {"n_sessions": n_sessions, "n_time_bins": n_time_bins, "random_state": seed}
    if together:
        return simulate_from(parameters, **sizes)["spikes"], groups
    return simulate_independent_chains(parameters, groups, **sizes)["spikes"], groups


def measure(seed: int, args: argparse.Namespace, *, together: bool) -> dict[str, object]:
    from onehotglm import OneHotHMMGLM, compare_chains
    from onehotglm.evaluation import hold_out

    spikes, groups = simulate(
        seed, together=together, n_sessions=args.n_sessions, n_time_bins=args.n_time_bins
    )
    train, test = hold_out(spikes, every=3)
    model = OneHotHMMGLM(n_states=2, prior=args.prior, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = compare_chains(train, test, groups, model)
    one, independent, joint = found.scores.to_dict("records")
    return {
        "truth": TRUTHS[together],
        "seed": seed,
        "verdict": found.verdict,
        "one_chain": one["bits_per_spike"],
        "independent": independent["bits_per_spike"],
        "all_combinations": joint["bits_per_spike"],
        "gain_low": independent["gain_low"],
        "gain_high": independent["gain_high"],
        "dependence": found.mutual_information,
        "p_value": found.p_value,
    }


def summary(rows: list[dict]) -> str:
    import pandas as pd
    from scipy import stats

    table = pd.DataFrame(rows)
    lines = []
    for truth, part in table.groupby("truth"):
        lines.append(f"\ntruth: {truth} ({len(part)} seeds)")
        for verdict, count in part["verdict"].value_counts().items():
            low, high = stats.binomtest(count, len(part)).proportion_ci(method="exact")
            lines.append(f"  {verdict:24s}{count:4d}   [{low:.2f}, {high:.2f}]")
        lines.append(f"  dependence found (p <= 0.05): {(part['p_value'] <= 0.05).mean():.2f}")
        for name in ("one_chain", "all_combinations"):
            gain = part["independent"] - part[name]
            half = stats.t.ppf(0.975, len(gain) - 1) * gain.sem()
            lines.append(
                f"  independent over {name}: {gain.mean():+.4f} "
                f"[{gain.mean() - half:+.4f}, {gain.mean() + half:+.4f}] bits per spike"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="simulations of each truth")
    parser.add_argument("--n-sessions", type=int, default=24)
    parser.add_argument("--n-time-bins", type=int, default=750, help="bins of a session")
    parser.add_argument("--prior", default="none")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="table (CSV)")
    args = parser.parse_args()
    use_threads(args.threads)
    table = Table(args.out)
    for seed in range(args.seeds):
        for together in TRUTHS:
            table.add(measure(seed, args, together=together))
    print(summary(table.rows))


if __name__ == "__main__":
    main()
