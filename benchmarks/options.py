"""Each option of the model where it is right, beside the plain model fitted to the same data.

    python benchmarks/options.py [ROW ...] --seeds 5 --out results/options.csv
    python benchmarks/options.py --list

Every row simulates a population for which its option is right and says how well the truth is
recovered and held-out data are predicted with the option and without it; means over the seeds,
and a 95 % t-interval of the difference.
"""

import argparse
from pathlib import Path

import options_likelihood  # noqa: F401  registers its rows
import options_structure  # noqa: F401
from measuring import Table, use_threads
from option_rows import ROWS


def interval(differences: list[float]) -> tuple[float, float]:
    """95 % interval of the mean of paired differences."""
    import numpy as np
    from scipy import stats

    mean, n = np.mean(differences), len(differences)
    if n < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / np.sqrt(n)
    return float(mean - half), float(mean + half)


def run(name: str, seeds: range, table: Table) -> None:
    """Add a line per measure of a row."""
    measured = [ROWS[name].measure(seed) for seed in seeds]
    for measure in measured[0]:
        pairs = [item[measure] for item in measured]
        right, plain = (sum(side) / len(pairs) for side in zip(*pairs, strict=True))
        low, high = interval([a - b for a, b in pairs])
        table.add(
            {
                "row": name,
                "option": ROWS[name].option,
                "truth": ROWS[name].truth,
                "measure": measure,
                "with_option": right,
                "plain": plain,
                "difference_low": low,
                "difference_high": high,
                "n_seeds": len(pairs),
            }
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: all")
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--seeds", type=int, default=5, help="simulations per row")
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="table (CSV)")
    args = parser.parse_args()
    unknown = sorted(set(args.rows) - set(ROWS))
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if args.list:
        for name, row in ROWS.items():
            print(f"{name:24s}{row.option:32s}{row.truth}")
        return
    use_threads(args.threads)
    table = Table(args.out)
    for name in args.rows or ROWS:
        run(name, range(args.seeds), table)


if __name__ == "__main__":
    main()
