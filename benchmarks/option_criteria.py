"""What "recovered" means in the table of options: a criterion per measure, over the seeds."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

LOWER_IS_BETTER = ("error", "MSE")


class Summary(NamedTuple):
    """A measure over the seeds: means, and a 95 % t-interval of the paired difference.

    `true` is what the true parameters reach, nan where that says nothing.
    """

    option: float
    plain: float
    true: float
    low: float
    high: float

    def gain(self, measure: str) -> int:
        """1 if the option is better than the plain model beyond doubt, -1 if worse, else 0."""
        sign = -1 if any(word in measure for word in LOWER_IS_BETTER) else 1
        return sign * (int(self.low > 0) - int(self.high < 0))


class Criterion(NamedTuple):
    """In words, and as a function of a measure's summary."""

    words: str
    holds: Callable[[Summary], bool]


def at_least(value: float) -> Criterion:
    return Criterion(f"at least {value:g}", lambda found: found.option >= value)


def at_most(value: float) -> Criterion:
    return Criterion(f"at most {value:g}", lambda found: found.option <= value)


def of_the_truth(part: float) -> Criterion:
    return Criterion(
        f"at least {part:g} of the true parameters'",
        lambda found: found.option >= part * found.true,
    )


def below_the_truth(margin: float) -> Criterion:
    return Criterion(
        f"at most {margin:g} below the true parameters'",
        lambda found: found.option >= found.true - margin,
    )


# Of measures that many rows have; a row adds those of its option's own parameter.
COMMON: Mapping[str, Criterion] = {
    "held-out bits/spike": of_the_truth(0.9),
    "held-out bits/sample": of_the_truth(0.9),
    "state accuracy": below_the_truth(0.02),
    "couplings' correlation": at_least(0.9),
    # Mean squared error over the mean square of the truth.
    "couplings' relative MSE": at_most(0.2),
}


def verdict(found: Mapping[str, Summary], criteria: Mapping[str, Criterion]) -> str:
    """Say which criteria fail, and in what the option differs from the plain model."""
    failed = [name for name, criterion in criteria.items() if not criterion.holds(found[name])]
    parts = [f"not recovered ({', '.join(failed)})" if failed else "recovered"]
    for gain, word in ((1, "better"), (-1, "worse")):
        names = [name for name, summary in found.items() if summary.gain(name) == gain]
        if names:
            parts.append(f"{word} in {', '.join(names)}")
    return "; ".join(parts)
