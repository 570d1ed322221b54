"""Means over seeds with intervals, and what they say about a claim.

Every number is a mean over seeds with its 95 % interval (Student's t).  A claim about a
difference holds if the interval lies on the claimed side of zero, does not hold if it lies
on the other side, and is undecided here otherwise.  Fewer than three seeds decide nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

MIN_SEEDS = 3


class Interval(NamedTuple):
    """Mean over seeds and its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:+.4g} [{self.low:+.4g}, {self.high:+.4g}] (n={self.n})"


def interval(values: list[float]) -> Interval:
    n, mean = len(values), float(np.mean(values))
    half = stats.t.ppf(0.975, n - 1) * stats.sem(values) if n > 1 else np.inf
    return Interval(mean, mean - half, mean + half, n)


def verdict_above_zero(found: Interval) -> str:
    if found.low > 0:
        return "holds"
    return "does not hold" if found.high < 0 else "undecided here"


def show(label: str, found: Interval | None, verdict: Callable[[Interval], str] | None) -> None:
    if found is None:
        print(f"  {label:<58} not measured")
        return
    if verdict is None:
        judged = ""
    else:
        judged = f"  -> {verdict(found) if found.n >= MIN_SEEDS else 'too few seeds'}"
    print(f"  {label:<58} {found}{judged}")
