"""The claims about networks with trainable timescales, measured: one table.

    python benchmarks/rnn_runs.py --out DIR        # trains, an hour on one core
    python benchmarks/rnn_measures.py --out DIR    # measures, ten minutes
    python benchmarks/rnn_claims.py --out DIR      # prints the table

How numbers become verdicts: benchmarks/verdicts.py.  "Constant" means within 5 %.
"""

import argparse
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from rnn_measures import LONGER_BY, MATCHED_SPAN, READOUT_STEPS, TRAINING_STEPS
from rnn_runs import all_runs
from verdicts import Interval, interval, show, verdict_above_zero

CONSTANT = 0.05
TASK_NAMES = {"parity": "N-parity", "dms": "N-DMS"}


def verdict_constant(found: Interval) -> str:
    if max(abs(found.low), abs(found.high)) < CONSTANT:
        return "holds"
    outside = found.low > CONSTANT or found.high < -CONSTANT
    return "does not hold" if outside else "undecided here"


def read(out: Path) -> dict[str, dict]:
    names = [run.name for run in all_runs()]
    return {
        name: json.loads((out / f"{name}.json").read_text())
        for name in names
        if (out / f"{name}.json").exists()
    }


def of(found: dict[str, dict], cell: str, task: str, kind: str) -> dict[int, dict]:
    """Measures of one kind of run, by seed."""
    prefix = f"{cell}_{task}_{kind}_"
    return {
        int(name.removeprefix(prefix)): measures
        for name, measures in found.items()
        if name.startswith(prefix)
    }


def paired(
    found: dict[str, dict],
    cell: str,
    task: str,
    value: Callable[[dict], float],
    kinds: tuple[str, str] = ("multi", "single"),
) -> Interval | None:
    """Multi-head minus single-head, or another pair of curricula, seed by seed."""
    first, second = (of(found, cell, task, kind) for kind in kinds)
    seeds = sorted(first.keys() & second.keys())
    return interval([value(first[s]) - value(second[s]) for s in seeds]) if seeds else None


def changes(
    runs: dict[int, dict], name: str, *, until: int | None, relative: bool
) -> Interval | None:
    """Change of a timescale from N = 2 until a span (None: the last), over seeds."""
    ends = []
    for run in runs.values():
        path = {int(span): one[name] for span, one in run["timescales"].items()}
        first, last = path[min(path)], path[max(path) if until is None else until]
        ends.append((last - first) / (first if relative else 1))
    return interval(ends) if ends else None


def show_reach(found: dict[str, dict]) -> None:
    print("\nReach (largest N mastered; accuracy of the heads on fresh sequences)")
    for run in all_runs():
        if run.name not in found:
            print(f"  {run.name:<24} not measured")
            continue
        one = found[run.name]
        heads = one["accuracy_of_heads"]
        matched = one.get("accuracy_of_heads_at_matched_span")
        at_matched = f"; at N = {MATCHED_SPAN} worst head {min(matched):.4f}" if matched else ""
        print(
            f"  {run.name:<24} N = {one['span']:>2} in {one['n_steps']} steps, "
            f"{run.n_neurons} neurons, worst head {min(heads):.4f}{at_matched}"
        )


def claim_longer_timescales(found: dict[str, dict]) -> None:
    print("\n1. Both curricula develop longer timescales with N (change from N = 2; bins)")
    for task, title in TASK_NAMES.items():
        for kind in ("single", "multi"):
            runs = of(found, "leaky", task, kind)
            for until in (MATCHED_SPAN, None):
                to = f"N = {until}" if until else "the last N"
                for name in ("mean_network_tau", "median_network_tau", "top_network_tau"):
                    change = changes(runs, name, until=until, relative=False)
                    judged = verdict_above_zero if name == "mean_network_tau" else None
                    show(f"{title}, {kind}-head, to {to}: {name.replace('_', ' ')}", change, judged)


def claim_mechanism(found: dict[str, dict]) -> None:
    print("\n2. Single-head raises tau, multi-head keeps it constant (relative change of the mean)")
    for task, title in TASK_NAMES.items():
        for kind, judged in (("single", verdict_above_zero), ("multi", verdict_constant)):
            runs = of(found, "leaky", task, kind)
            for until in (MATCHED_SPAN, None):
                to = f"N = {until}" if until else "the last N"
                change = changes(runs, "mean_tau", until=until, relative=True)
                show(f"{title}, {kind}-head, to {to}", change, judged)


def claim_speed(found: dict[str, dict]) -> None:
    print(f"\n3. Multi-head trains faster (single minus multi, steps until N = {MATCHED_SPAN})")
    for task, title in TASK_NAMES.items():
        gained = paired(found, "leaky", task, lambda run: -run["steps_to_span"][str(MATCHED_SPAN)])
        show(f"{title}: steps saved", gained, verdict_above_zero)
        reach = paired(found, "leaky", task, lambda run: run["span"])
        show(f"{title}: larger N in the same number of steps", reach, verdict_above_zero)


def claim_robustness(found: dict[str, dict]) -> None:
    print(
        f"\n4. Multi-head is more robust (accuracy above chance left at N = {MATCHED_SPAN}, multi"
    )
    print("   minus single, mean over sizes or strengths)")
    kinds = ("ablation_longest_tau", "ablation_random", "noise_weights", "noise_tau")
    for task, title in TASK_NAMES.items():
        for kind in kinds:
            gained = paired(
                found, "leaky", task, lambda run, kind=kind: np.mean(run["robustness"][kind])
            )
            show(f"{title}: {kind.replace('_', ' ')}", gained, verdict_above_zero)


def claim_generalisation(found: dict[str, dict]) -> None:
    longer = ", ".join(str(MATCHED_SPAN + by) for by in LONGER_BY)
    print(f"\n5. Multi-head generalises better to longer N (accuracy at N = {longer}; multi minus")
    print(
        f"   single; {READOUT_STEPS} steps of a fresh head alone, {TRAINING_STEPS} of everything)"
    )
    for task, title in TASK_NAMES.items():
        for kind in ("readout", "training"):
            gained = paired(
                found, "leaky", task, lambda run, kind=kind: np.mean(run["generalisation"][kind])
            )
            show(f"{title}: {kind}", gained, verdict_above_zero)


def claim_gated(found: dict[str, dict]) -> None:
    print("\n6. The multi-head curriculum helps GRU and LSTM at large N (multi minus single)")
    for task, cell in product(TASK_NAMES, ("gru", "lstm")):
        reach = paired(found, cell, task, lambda run: run["span"])
        show(
            f"{TASK_NAMES[task]}, {cell.upper()}: larger N in the same number of steps",
            reach,
            verdict_above_zero,
        )


def show_sliding(found: dict[str, dict]) -> None:
    print(
        "\nThe sliding curriculum (no claim; larger N in the same number of steps, tau at the end)"
    )
    for task, title in TASK_NAMES.items():
        for other in ("multi", "single"):
            reach = paired(found, "leaky", task, lambda run: run["span"], ("sliding", other))
            show(f"{title}: sliding minus {other}-head", reach, None)
        runs = of(found, "leaky", task, "sliding")
        change = changes(runs, "mean_tau", until=None, relative=True)
        show(f"{title}: relative change of the mean tau to the last N", change, None)


def show_published(out: Path) -> None:
    path = out / "published.json"
    if not path.exists():
        return
    found = json.loads(path.read_text())
    print("\nThe stored networks of 500 neurons (one each: no interval, no verdict)")
    for name, one in found["timescales"].items():
        print(
            f"  {name:<16} mean tau {one['mean_tau']:.3f}, network tau: mean "
            f"{one['mean_network_tau']:.2f}, median {one['median_network_tau']:.2f}, upper decile "
            f"{one['top_network_tau']:.2f}; dimensions {one['participation_ratio']:.1f}"
        )
    for part in ("robustness", "generalisation"):
        for kind, values in found[part].items():
            means = ", ".join(f"{name} {np.mean(v):.3f}" for name, v in values.items())
            print(f"  {kind:<10} {part}: {means}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rnn"))
    options = parser.parse_args()
    found = read(options.out)
    show_reach(found)
    for claim in (
        claim_longer_timescales,
        claim_mechanism,
        claim_speed,
        claim_robustness,
        claim_generalisation,
        claim_gated,
    ):
        claim(found)
    show_sliding(found)
    show_published(options.out)


if __name__ == "__main__":
    main()
