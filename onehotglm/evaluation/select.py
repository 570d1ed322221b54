"""How many states? Cross-validation and information criteria over numbers of states."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.exogenous import COVARIATES, TRANSITION_INPUTS
from onehotglm.estimator.per_bin import labelled
from onehotglm.estimator.validate import as_spikes
from onehotglm.evaluation.criteria import RULES, choices, cross_validated
from onehotglm.evaluation.fold_fits import Outcome, Plan, run_fits
from onehotglm.evaluation.folds import make_blocks, make_folds
from onehotglm.random_state import numpy_generator

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

_NO_SCORES = pd.DataFrame(columns=["n_states", "fold", "block", "bits", "n_spikes"])


@dataclass(frozen=True, repr=False)
class StateSelection:
    """What `select_n_states` found.

    Attributes
    ----------
    table : DataFrame, index n_states
        `bits_per_spike` of held-out blocks, `se`, `below_best` and its `se_below_best` (see
        `onehotglm.evaluation.criteria.cross_validated`); `log_likelihood`, `n_parameters`,
        `bic`, `icl` and, with ``method="vi"``, `elbo` of the fit to all data; `flagged`: its
        dead and duplicate states; `unconverged` fits and the fits' `seconds`.  NaN in what an
        interrupted run did not finish.
    choices : Series, index rule
        Number of states by each rule.
    rule : str
        The one that `best_n_states` follows.
    folds : DataFrame
        A row per number of states and held-out block: `fold`, `block`, `session`, `start` (s),
        `bits` gained over the training data's mean rates, `n_spikes`.
    states : DataFrame
        A row per number of states and state, see
        `onehotglm.evaluation.redundancy.describe_states`.
    models : dict of int to OneHotHMMGLM
        Fits to all data.
    interrupted : bool
    """

    table: pd.DataFrame
    choices: pd.Series
    rule: str
    folds: pd.DataFrame
    states: pd.DataFrame
    models: dict[int, "OneHotHMMGLM"]
    interrupted: bool

    @property
    def best_n_states(self) -> int:
        """Number of states by `rule`.

        Raises
        ------
        InvalidInputError
            If the run was interrupted before the rule could choose.
        """
        if self.rule not in self.choices:
            raise InvalidInputError(
                f"the run was interrupted before rule {self.rule!r} could choose; see `table` for "
                "what was finished, and run it with fewer numbers of states or folds"
            )
        return int(self.choices[self.rule])

    @property
    def model(self) -> "OneHotHMMGLM":
        """Fit to all data with `best_n_states`."""
        return self.models[self.best_n_states]

    def plot(self, **options: Any) -> "np.ndarray[Any, np.dtype[Any]]":
        """Draw the criteria, see `onehotglm.plots.plot_selection`.

        Parameters
        ----------
        **options
            Of that function.
        """
        from onehotglm.plots import plot_selection

        return plot_selection(self.table, self.choices, rule=self.rule, **options)

    def __repr__(self) -> str:
        shown = self.table.drop(columns=["log_likelihood", "seconds"], errors="ignore")
        ending = " (interrupted)" if self.interrupted else ""
        chosen = ", ".join(f"{rule}: {number}" for rule, number in self.choices.items())
        return f"{shown.round(4).to_string()}\nchoices{ending}: {chosen or 'none'}"


def select_n_states(
    spikes: Any,
    n_states: Iterable[int] = range(1, 9),
    *,
    model: "OneHotHMMGLM | None" = None,
    covariates: Any = None,
    transition_inputs: Any = None,
    cv: int | Sequence[int] = 5,
    block_length: float | None = None,
    gap: float | None = None,
    rule: str = "one-se",
    warm_start: bool = False,
    n_jobs: int | None = None,
    progress: bool = True,
) -> StateSelection:
    """Choose the number of states by cross-validation over blocks, beside BIC and ICL.

    Every number of states is fitted to the same folds and to all data.  Whole blocks are held
    out: sessions, or pieces of them.  Their history is the counts that really came before, and
    their states are inferred from their own counts and the parameters alone; what the fit of a
    fold sees does not depend on what it holds out (`onehotglm.evaluation.folds` says how).

    Parameters
    ----------
    spikes : as in `OneHotHMMGLM.fit`
    n_states : iterable of int
        Candidates.
    model : OneHotHMMGLM, optional
        Its parameters, restarts included, are those of all fits, but for `n_states`.
    covariates, transition_inputs : as in `OneHotHMMGLM.fit`, optional
        They are cut as the spikes are.
    cv : int or sequence of int
        Number of folds, block i being in fold ``i % cv``; or the fold of every block, for
        example to hold out whole days.
    block_length : float, optional
        Seconds.  Cuts sessions into equal blocks of about this length.  Default: whole sessions
        are held out.
    gap : float, optional
        Seconds beside a held-out block that are not trained on.  Default: as long as the
        history, so that no held-out count enters a fit in any role.
    rule : {"one-se", "best", "bic", "icl", "elbo"}
        What `best_n_states` follows; ``"one-se"``: the smallest number that predicts held-out
        blocks as well as the best one within a standard error of their difference.
    warm_start : bool
        Start every fit also from the one with fewer states to the same fold, its most occupied
        states split, beside the model's `n_init` random starts.  Never from a fit to all data:
        that would leak.
    n_jobs : int, optional
        Processes, as `joblib.Parallel` takes it; -1: all cores.  Default: 1, or what a
        surrounding ``joblib.parallel_config`` says, which may also name another backend, such
        as Dask's.  The result is the same.
    progress : bool
        Show a bar in a terminal.

    Returns
    -------
    StateSelection
        Interrupted by Ctrl-C, it holds what was finished.

    Raises
    ------
    InvalidInputError
        If the candidates, folds or parameters make no sense, before anything is fitted.

    Warns
    -----
    UserWarning
        If the fit with the chosen number has dead or duplicate states, or the largest candidate
        was chosen.

    References
    ----------
    Breiman, Friedman, Olshen, Stone (1984), Classification and Regression Trees, section 3.4:
    the rule of one standard error.  Celeux, Durand (2008), Computational Statistics 23:541:
    numbers of hidden Markov states by cross-validation, BIC and ICL.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> asleep = np.repeat(rng.random((4, 20)) < 0.5, 10, axis=1)[..., None]
    >>> spikes = rng.poisson(np.where(asleep, [0.1, 0.8], [0.8, 0.1]))
    >>> from onehotglm import OneHotHMMGLM
    >>> model = OneHotHMMGLM(prior="none", n_lags=1, n_init=1)
    >>> select_n_states(spikes, [1, 2], model=model, cv=2).best_n_states
    2
    """
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

    model = clone(OneHotHMMGLM() if model is None else model)
    seed = model.random_state
    if not isinstance(seed, int | np.integer):
        # The same starts in every process, and for every number of states.
        seed = int(numpy_generator(seed).integers(2**31))
    model.set_params(random_state=seed)
    spikes = as_spikes(spikes, model.bin_size)
    candidates = _check_candidates(n_states)
    if rule not in RULES or (rule == "elbo" and model.method != "vi"):
        raise InvalidInputError(
            f"rule={rule!r} with method={model.method!r}; choose one of {', '.join(RULES)} "
            "('elbo' with method='vi' only)"
        )
    blocks = make_blocks(spikes, block_length)
    gap = model.n_lags * float(spikes.attrs["bin_size"]) if gap is None else gap
    folds = make_folds(spikes, blocks, cv, gap)
    n_bins = min(int(fold.train.n_time_bins.sum()) for fold in folds)
    if candidates[-1] > n_bins:
        raise InvalidInputError(
            f"n_states={candidates[-1]}, but a fold has {n_bins} time bins to train on; expected "
            "fewer states than bins"
        )
    given = ((covariates, COVARIATES.kind), (transition_inputs, TRANSITION_INPUTS.kind))
    beside = {
        kind.argument: labelled(data, spikes, kind) for data, kind in given if data is not None
    }
    plan = Plan(model, int(seed), spikes, blocks, folds, candidates, warm_start, beside)
    outcomes, interrupted = run_fits(plan, n_jobs, progress)
    selection = _collect(outcomes, candidates, len(folds), rule, interrupted)
    _warn(selection)
    return selection


def _check_candidates(n_states: Iterable[int]) -> list[int]:
    numbers = [n_states] if isinstance(n_states, int | np.integer) else list(n_states)
    valid = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in numbers)
    if not numbers or not valid or min(numbers) < 1:
        raise InvalidInputError(
            f"n_states={numbers!r}; expected positive integers to choose from, as range(1, 9)"
        )
    return sorted({int(number) for number in numbers})


def _collect(
    outcomes: Sequence[Outcome],
    candidates: Sequence[int],
    n_folds: int,
    rule: str,
    interrupted: bool,
) -> StateSelection:
    """Put the outcomes, in whatever order they came, together."""
    outcomes = sorted(outcomes, key=lambda o: (o.n_states, o.fold is None, o.fold or 0))
    whole = {o.n_states: o for o in outcomes if o.fold is None}
    in_folds = [o for o in outcomes if o.fold is not None]
    scores = pd.concat([o.scores for o in in_folds], ignore_index=True) if in_folds else _NO_SCORES
    n_done = pd.Series([o.n_states for o in in_folds], dtype=int).value_counts()
    complete = scores["n_states"].isin(n_done.index[n_done == n_folds])
    table = pd.DataFrame(index=pd.Index(candidates, name="n_states"))
    if complete.any():
        table = table.join(cross_validated(scores[complete]))
    table = table.join(pd.DataFrame({n: o.criteria for n, o in whole.items()}).T)
    table["flagged"] = pd.Series({n: _flagged(o.states) for n, o in whole.items()}, dtype=object)
    for number in candidates:
        mine = [o for o in outcomes if o.n_states == number]
        table.loc[number, "unconverged"] = sum(not o.converged for o in mine)
        table.loc[number, "seconds"] = sum(o.seconds for o in mine)
    states = [o.states for o in whole.values()]
    return StateSelection(
        table=table.astype({"unconverged": int}),
        choices=choices(table),
        rule=rule,
        folds=scores,
        states=pd.concat(states, ignore_index=True) if states else pd.DataFrame(),
        models={n: o.model for n, o in whole.items() if o.model is not None},
        interrupted=interrupted,
    )


def _flagged(states: pd.DataFrame) -> str:
    found = states[states["verdict"] != ""]
    return ", ".join(f"{row.state}: {row.verdict}" for row in found.itertuples())


def _warn(selection: StateSelection) -> None:
    if selection.rule not in selection.choices:
        return
    best, table = selection.best_n_states, selection.table
    if len(table) > 1 and best == table.index.max():
        warnings.warn(
            f"the largest candidate, n_states={best}, was chosen; offer more to see whether it is "
            "enough",
            stacklevel=3,
        )
    flagged = table["flagged"].get(best)
    if isinstance(flagged, str) and flagged:
        warnings.warn(
            f"states of the fit with n_states={best} are dead or duplicates ({flagged}); see "
            "`states` and consider fewer",
            stacklevel=3,
        )
