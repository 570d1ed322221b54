"""Criteria for a number of states, and the rules that choose by them."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.io.spikes import modelled

if TYPE_CHECKING:
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM

# rule -> column and the factor by which larger is better
_BEST_OF = {"bic": ("bic", -1.0), "icl": ("icl", -1.0), "elbo": ("elbo", 1.0)}
RULES = ("one-se", "best", *_BEST_OF)


def cross_validated(scores: pd.DataFrame) -> pd.DataFrame:
    """Bits per spike of the held-out blocks, pooled, beside the best number of states.

    The score ``R = sum b / sum n`` of bits b and spikes n is a ratio.  Its standard error
    comes from the folds' sums of ``b - R n``, as blocks of one fold share a fit.  That of the
    distance to the best is paired: it leaves out how blocks differ in what can be predicted
    at all, which is most of the error of the scores themselves.

    Parameters
    ----------
    scores : DataFrame
        A row per number of states and block: `n_states`, `fold`, `block`, `bits` gained over
        constant rates, `n_spikes`.  The same blocks for all numbers.

    Returns
    -------
    DataFrame, index n_states
        `bits_per_spike`, `se`, `below_best` (bits per spike), `se_below_best`.

    Examples
    --------
    >>> scores = pd.DataFrame({
    ...     "n_states": [1, 1, 2, 2], "fold": [0, 1, 0, 1], "block": [0, 1, 0, 1],
    ...     "bits": [1.0, 3.0, 2.0, 4.0], "n_spikes": [10.0, 10.0, 10.0, 10.0],
    ... })
    >>> cross_validated(scores).round(3)
              bits_per_spike   se  below_best  se_below_best
    n_states
    1                    0.2  0.1         0.1            0.0
    2                    0.3  0.1         0.0            0.0
    """
    by_fold = scores.groupby(["n_states", "fold"])[["bits", "n_spikes"]].sum()
    bits, n_spikes = (by_fold[name].unstack("n_states") for name in ("bits", "n_spikes"))
    score = bits.sum() / n_spikes.sum()
    best = score.idxmax()
    lost = -bits.sub(bits[best], axis=0)
    return pd.DataFrame(
        {
            "bits_per_spike": score,
            "se": _ratio_error(bits, n_spikes),
            "below_best": lost.sum() / n_spikes.sum(),
            "se_below_best": _ratio_error(lost, n_spikes),
        }
    )


def _ratio_error(total: pd.DataFrame, weight: pd.DataFrame) -> pd.Series:
    """Estimate the standard error of sum(total) / sum(weight) over rows, column by column."""
    residual = total - weight * (total.sum() / weight.sum())
    n_rows = len(total)
    return np.sqrt(n_rows / (n_rows - 1) * (residual**2).sum()) / weight.sum()


def information_criteria(
    model: "OneHotHMMGLM", spikes: xr.DataArray, **beside: Any
) -> dict[str, float]:
    """BIC and ICL of a fit to these spikes; smaller is better.

    ``BIC = -2 log p(x) + k log T`` with the effective number k of parameters
    (`n_parameters_`) and T time bins (Schwarz 1978), and
    ``ICL = BIC - 2 log p(z | x)`` of the most likely path z (Biernacki, Celeux & Govaert 2000),
    which charges for states that overlap.

    Parameters
    ----------
    model : OneHotHMMGLM
    spikes : DataArray, dims (session, time, neuron)
        That it was fitted to.
    **beside
        Covariates and transition inputs, as in `OneHotHMMGLM.fit`.

    Returns
    -------
    dict
        `log_likelihood` (nats), `n_parameters`, `bic`, `icl`; with ``method="vi"`` also `elbo`.
    """
    n_bins = int(modelled(spikes).notnull().any("neuron").sum())
    log_likelihood = float(model.log_likelihood(spikes, **beside).sum())
    bic = model.n_parameters_ * np.log(n_bins) - 2 * log_likelihood
    path = model.path_log_proba(spikes, **beside)
    criteria = {
        "log_likelihood": log_likelihood,
        "n_parameters": float(model.n_parameters_),
        "bic": bic,
        "icl": bic - 2 * float(path.sum()),
    }
    if getattr(model, "elbo_path_", None) is not None:
        criteria["elbo"] = float(model.elbo_path_[-1])
    return criteria


def choices(table: pd.DataFrame) -> pd.Series:
    """Choose a number of states by every rule that the table has what it takes for.

    Parameters
    ----------
    table : DataFrame, index n_states
        Columns of `cross_validated` and `information_criteria`; NaN in what is unfinished.

    Returns
    -------
    Series of int, index rule
        ``"one-se"``: the smallest number that is within one standard error of the best held-out
        score, the error being that of the difference; ``"best"``: the best held-out score;
        ``"bic"``, ``"icl"`` and ``"elbo"``: the best of these.
    """
    chosen = {}
    scored = table.dropna(subset="bits_per_spike") if "bits_per_spike" in table else table[:0]
    if len(scored):
        within = scored["below_best"] <= scored["se_below_best"]
        chosen["one-se"] = scored.index[within].min()
        chosen["best"] = scored["bits_per_spike"].idxmax()
    for rule, (column, sign) in _BEST_OF.items():
        if column in table and table[column].notna().any():
            chosen[rule] = (sign * table[column]).idxmax()
    return pd.Series(chosen, name="n_states", dtype=int).rename_axis("rule")
