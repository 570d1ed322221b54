"""scikit-learn's own checks where they apply, searches on several processes, pipelines."""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from onehotglm import OneHotHMMGLM
from tests.estimator.conftest import N_TIME

pytestmark = pytest.mark.slow


class RoundedInput(OneHotHMMGLM):
    """The estimator behind a rounding: the checks feed normal deviates, which are no counts."""

    def fit(self, X, y=None):
        return super().fit(_counts(X))

    def predict(self, X):
        return super().predict(_counts(X))

    def predict_proba(self, X):
        return super().predict_proba(_counts(X))

    def score(self, X, y=None):
        return super().score(_counts(X))


def _counts(X):
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "fO" or X.ndim < 2:
        return X
    try:
        return np.rint(X.astype(float))
    except (TypeError, ValueError):
        return X


WORDING = "it is refused, with a message of our own words"
EXPECTED = {
    "check_complex_data": WORDING,
    "check_dtype_object": WORDING,
    "check_positive_only_tag_during_fit": WORDING,
    "check_estimators_empty_data_messages": WORDING,
    "check_n_features_in_after_fitting": WORDING,
    "check_fit2d_1sample": WORDING,
    "check_fit2d_predict1d": WORDING,
    "check_methods_sample_order_invariance": "samples are bins of time: their order is the data",
}


@parametrize_with_checks(
    [RoundedInput(n_states=1, prior="none", n_init=1, max_iter=2, progress=False)],
    expected_failed_checks=lambda _: EXPECTED,
)
def test_checks_of_scikit_learn(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def test_search_on_two_processes_finds_what_one_finds(spikes):
    grid = {"model__prior": ["none", "gaussian"], "model__n_states": [1, 2]}
    model = OneHotHMMGLM(n_init=1, max_iter=15, progress=False)
    pipeline = Pipeline([("as_array", FunctionTransformer(np.asarray)), ("model", model)])
    searches = [GridSearchCV(pipeline, grid, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for search in searches:
            search.fit(spikes.values)
    one, two = searches
    assert one.best_params_ == two.best_params_
    np.testing.assert_allclose(
        two.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"], rtol=1e-5
    )
    assert one.best_params_["model__n_states"] == 2
    assert one.predict(spikes.values).shape == (3, N_TIME)
