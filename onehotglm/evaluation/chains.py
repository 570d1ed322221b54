"""Whether one chain of states suffices for all groups of neurons.

Two questions decide.  Do independent chains predict held-out spikes better than one chain
with as many states (paired over held-out sessions)?  And do the groups' decoded states
depend on each other, more than when one group's path is shifted in time against the
other's?  One chain for all is right where the paths move together; independent chains are
right where they do not and predict better.
"""

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.independent_chains import IndependentChains
from onehotglm.estimator.match import confusion
from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
from onehotglm.evaluation.held_out import block_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ONE, INDEPENDENT, JOINT = "one chain", "independent chains", "one chain, all combinations"


class ChainComparison(NamedTuple):
    """One chain of states against one for every group of neurons.

    Attributes
    ----------
    verdict : str
        "one chain suffices", "independent chains", "coupled chains" (one chain does not
        suffice, but the groups' states depend on each other) or "undecided".
    scores : DataFrame
        Of every model: held-out ``bits_per_spike``, the ``gain`` over one chain with the ends
        ``gain_low`` and ``gain_high`` of its interval (paired over held-out sessions), and
        the number of ``parameters`` that are not zero.
    mutual_information : float
        Between the groups' decoded states, bits (mean over pairs of groups).
    null : ndarray
        The same after shifts in time of one group against the other.
    p_value : float
        Of no more dependence than under shifts.
    models : dict
        The fitted models by name.
    """

    verdict: str
    scores: pd.DataFrame
    mutual_information: float
    null: np.ndarray
    p_value: float
    models: dict[str, Any]

    def __str__(self) -> str:
        first, *others = self.scores.to_dict("records")
        lines = [
            self.verdict,
            f"  {first['name']}: {first['bits_per_spike']:.4f} bits per spike held out",
        ]
        lines += [
            f"  {row['name']}: {row['bits_per_spike']:.4f}, gain {row['gain']:+.4f} "
            f"[{row['gain_low']:+.4f}, {row['gain_high']:+.4f}]"
            for row in others
        ]
        lines.append(
            f"  dependence of the groups' states: {self.mutual_information:.4f} bits, "
            f"{self.null.mean():.4f} when shifted in time (p = {self.p_value:.3f})"
        )
        return "\n".join(lines)

    def plot(self) -> "Figure":
        """Scores beside the dependence, see `onehotglm.plots.plot_chain_comparison`."""
        from onehotglm.plots import plot_chain_comparison

        verdict = self.verdict.capitalize()
        axes = plot_chain_comparison(self.scores, self.mutual_information, self.null, title=verdict)
        return axes[0].figure


def compare_chains(
    train: Any,
    test: Any,
    groups: Any,
    model: OneHotHMMGLM,
    *,
    joint: bool = True,
    level: float = 0.95,
    n_shifts: int = 499,
    random_state: int = 0,
) -> ChainComparison:
    """Tell whether groups of neurons need chains of states of their own.

    Parameters
    ----------
    train, test : DataArray, dims (session, time, neuron)
        Spike counts to fit and to judge by; `onehotglm.evaluation.hold_out` and
        `onehotglm.split_blocks` make them.  The more sessions (blocks) in `test` the better.
    groups : array_like, shape (neuron,)
        Label of every neuron's group.
    model : OneHotHMMGLM
        What is fitted, for all neurons and for each group; its `n_states` are those of each
        chain.
    joint : bool
        Also fit one chain with a state for every combination of the groups' states, which
        can do all that independent chains can, with more parameters.
    level : float
        Of intervals; ``1 - level`` is the largest p-value that counts as dependence.
    n_shifts : int
        Random shifts in time that the dependence is compared with.
    random_state : int

    Returns
    -------
    ChainComparison
        ``print`` it, ``.plot()`` it.

    Raises
    ------
    InvalidInputError
        If there are fewer than two groups, or two sessions to judge by.

    Notes
    -----
    The interval is of the fitted models over other data, not over other fits.  Where the
    groups' states follow something that both react to (running and resting), they depend on
    each other although no chain drives the other: then they are "coupled".

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> counts = np.random.default_rng(0).poisson(0.3, size=(4, 100, 4)).astype(float)
    >>> spikes = xr.DataArray(counts, dims=("session", "time", "neuron"))
    >>> model = OneHotHMMGLM(n_states=2, prior="none", n_init=1, tol=0.1)
    >>> found = compare_chains(spikes[:2], spikes[2:], [0, 0, 1, 1], model, joint=False)
    >>> found.scores["name"].tolist()
    ['one chain', 'independent chains']
    """
    n_groups = len(np.unique(np.asarray(groups)))
    if n_groups < 2:
        raise InvalidInputError(f"groups holds {n_groups} label; expected two or more groups")
    if len(test) < 2:
        raise InvalidInputError(
            f"test holds {len(test)} session; expected two or more, so that the difference has "
            "an interval: cut it into blocks with split_blocks"
        )
    models: dict[str, Any] = {
        ONE: clone(model).fit(train),
        INDEPENDENT: IndependentChains(groups, model).fit(train),
    }
    if joint:
        combined = clone(model).set_params(n_states=model.n_states**n_groups)
        models[JOINT] = combined.fit(train)
    scores = _scores(models, test, level, random_state)
    interval = scores["gain_low"][1], scores["gain_high"][1]
    states = models[INDEPENDENT].predict_states(test).values
    observed, null = _dependence(states, model.n_states, n_shifts, random_state)
    p_value = float((1 + np.sum(null >= observed)) / (1 + len(null)))
    return ChainComparison(
        _verdict(interval, p_value <= 1 - level),
        scores,
        observed,
        null,
        p_value,
        models,
    )


def _verdict(interval: tuple[float, float], dependent: bool) -> str:
    better, worse = interval[0] > 0, interval[1] < 0
    if better:
        return "coupled chains" if dependent else INDEPENDENT
    return "one chain suffices" if dependent or worse else "undecided"


def _scores(models: dict[str, Any], test: Any, level: float, random_state: int) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for name, fitted in models.items():
        low, high = block_interval(
            fitted, test, minus=models[ONE], level=level, random_state=random_state
        )
        bits = fitted.score(test)
        chains = fitted.chains_ if isinstance(fitted, IndependentChains) else [fitted]
        rows.append(
            {
                "name": name,
                "bits_per_spike": bits,
                "gain": bits - (rows[0]["bits_per_spike"] if rows else bits),
                "gain_low": low,
                "gain_high": high,
                "parameters": sum(map(_n_parameters, chains)),
            }
        )
    return pd.DataFrame(rows)


def _n_parameters(chain: OneHotHMMGLM) -> int:
    n_states = chain.n_states
    weights = int(np.count_nonzero(chain.weights_)) + chain.bias_.size
    return weights + n_states * (n_states - 1) + n_states - 1


def _dependence(
    states: np.ndarray, n_states: int, n_shifts: int, random_state: int
) -> tuple[float, np.ndarray]:
    """Mutual information between paths (group, session, time), and under random shifts.

    A shift rotates each session by its own random number of bins: it keeps how long states
    last, and breaks what groups have in common.
    """
    rng = np.random.default_rng(random_state)
    lengths = (states[0] >= 0).sum(-1)
    kept = np.flatnonzero(lengths > 1)
    paths = [states[:, session, : lengths[session]] for session in kept]

    def measure(moved: list[np.ndarray]) -> float:
        together = np.concatenate(moved, axis=-1)
        pairs = combinations(together, 2)
        return float(np.mean([mutual_information(a, b, n_states) for a, b in pairs]))

    def shifted() -> list[np.ndarray]:
        return [np.stack([np.roll(row, rng.integers(row.size)) for row in path]) for path in paths]

    return measure(paths), np.array([measure(shifted()) for _ in range(n_shifts)])


def mutual_information(states: np.ndarray, others: np.ndarray, n_states: int) -> float:
    """Mutual information of two paths, bits.

    Examples
    --------
    >>> path = np.array([0, 0, 1, 1])
    >>> mutual_information(path, path, 2), mutual_information(path, np.array([0, 1, 0, 1]), 2)
    (1.0, 0.0)
    """
    joint = confusion(states, others, n_states, n_states)
    joint = joint / joint.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / independent[seen])).sum())
