import numpy as np
import pandas as pd
import pytest
import xarray as xr

from onehotglm import plots
from onehotglm.errors import InvalidInputError


def test_objective_path_and_best_restart(fit):
    path = fit["log_likelihood_path"]
    (line, _) = plots.plot_objective(fit).lines
    np.testing.assert_allclose(line.get_ydata(), path)
    restarts = xr.concat([path - 0.1, path, path.where(path["iteration"] < 5)], "restart")
    ax = plots.plot_objective(fit.assign(log_likelihood_path=restarts))
    np.testing.assert_allclose(ax.lines[2].get_ydata(), path)
    with pytest.raises(InvalidInputError, match="log_likelihood_path"):
        plots.plot_objective(fit.drop_vars("log_likelihood_path"))


def test_scores_are_bars_with_intervals():
    scores = pd.DataFrame(
        {"name": ["a", "b"], "bits_per_spike": [0.2, 0.1], "low": [0.1, 0.05], "high": [0.3, 0.2]}
    )
    ax = plots.plot_scores(scores, reference=0.25)
    assert [bar.get_width() for bar in ax.patches] == [0.2, 0.1]
    intervals = np.array(ax.collections[0].get_segments())[:, :, 0]
    np.testing.assert_allclose(intervals, scores[["low", "high"]])
    assert ax.lines[0].get_xdata() == [0.25, 0.25]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b"]
    with pytest.raises(InvalidInputError, match="scores lack the columns bits_per_spike"):
        plots.plot_scores(scores[["name"]])
