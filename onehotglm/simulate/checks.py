"""Checks of plain numbers that users pass to the simulators."""

import numbers

from onehotglm.errors import InvalidInputError


def check_count(name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`, or raise."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < minimum:
        raise InvalidInputError(f"{name}={value!r}; expected an integer of at least {minimum}")
    return int(value)


def check_number(
    name: str, value: object, low: float, high: float = float("inf"), *, above: bool = False
) -> float:
    """Return `value` as a float from `low` (excluded with `above`) to `high`, or raise."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        if low <= number <= high and number != float("inf") and not (above and number == low):
            return number
    least = f"above {low:g}" if above else f"of at least {low:g}"
    most = "" if high == float("inf") else f" and at most {high:g}"
    raise InvalidInputError(f"{name}={value!r}; expected a finite number {least}{most}")
