"""Each option of the model where it is right, beside the plain model fitted to the same data.

    python benchmarks/options.py [ROW ...] --seeds 5 --out results/options.csv
    python benchmarks/options.py --list

Every row simulates a population for which its option is right, and says how well the truth is
recovered and held-out data are predicted with the option, without it, and by the true
parameters: means over the seeds, a 95 % t-interval of the former, and one of the paired
difference of fits with and without.  An option has recovered its truth if every criterion in
the table holds for the means.
"""

import argparse
from pathlib import Path

import options_chains  # noqa: F401  registers its rows
import options_covariates  # noqa: F401
import options_kernels  # noqa: F401
import options_likelihood  # noqa: F401
import options_structure  # noqa: F401
import options_transitions  # noqa: F401
from measuring import Table, use_threads
from option_criteria import Summary, verdict
from option_rows import ROWS, Row


def interval(values: list[float]) -> tuple[float, float]:
    """95 % interval of the mean."""
    import numpy as np
    from scipy import stats

    mean, n = np.mean(values), len(values)
    if n < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return float(mean - half), float(mean + half)


def run(name: str, row: Row, seeds: range, table: Table) -> str:
    """Add a line per measure of a row, and return its verdict."""
    measured = [row.measure(seed) for seed in seeds]
    found, spread = {}, {}
    for measure in measured[0]:
        # A row that does not know what the true parameters reach gives pairs.
        values = [(*item[measure], float("nan"))[:3] for item in measured]
        option, plain, true = (list(side) for side in zip(*values, strict=True))
        difference = interval([a - b for a, b in zip(option, plain, strict=True)])
        means = (sum(side) / len(side) for side in (option, plain, true))
        found[measure], spread[measure] = Summary(*means, *difference), interval(option)
    criteria = row.criteria(found)
    for measure, summary in found.items():
        criterion = criteria.get(measure)
        table.add(
            {
                "row": name,
                "option": row.option,
                "data": row.truth,
                "measure": measure,
                "with_option": summary.option,
                "low": spread[measure][0],
                "high": spread[measure][1],
                "plain": summary.plain,
                "true_parameters": summary.true,
                "difference_low": summary.low,
                "difference_high": summary.high,
                "criterion": criterion.words if criterion else "",
                "holds": criterion.holds(summary) if criterion else "",
                "n_seeds": len(seeds),
            }
        )
    return verdict(found, criteria)


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
    verdicts = {name: run(name, ROWS[name], range(args.seeds), table) for name in args.rows or ROWS}
    print()
    for name, words in verdicts.items():
        print(f"{name:24s}{words}")


if __name__ == "__main__":
    main()
