"""Bad parameters are named before anything is computed."""

import numpy as np
import pytest

from onehotglm import OneHotHMMGLM
from onehotglm.errors import InvalidInputError
from onehotglm.estimator.settings import EXACT_LIMIT, affordable, check_settings


def check(**changes):
    check_settings(OneHotHMMGLM(**changes).get_params())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prior": "dirichlet"}, r"prior='dirichlet'; choose one of 'none', 'gaussian', 'one-hot'"),
        ({"link": "relu"}, "link='relu'; choose one of 'softplus', 'exp', 'sigmoid'"),
        ({"observation": "beta"}, "observation='beta'; choose one of 'poisson', 'bernoulli'"),
        ({"link": "identity"}, "link='identity' with observation='poisson': its values cannot"),
        ({"observation": "bernoulli"}, "all be means of such data; choose one of 'sigmoid'"),
        ({"basis": "spline"}, "basis='spline'; choose one of 'exponential'"),
        ({"method": "mcmc"}, "method='mcmc'; choose one of 'em', 'vi'"),
        ({"guide": "full"}, "guide='full'; choose one of 'mean_field', 'low_rank', 'structured'"),
        ({"batch_size": 0}, "batch_size=0; expected None or an integer of at least 1"),
        ({"batch_size": 1.5}, r"batch_size=1\.5; expected None or an integer"),
        ({"method": "vi", "dale": "infer"}, "dale='infer' is fitted by method='em' only"),
        (
            {"method": "vi", "self_history": "shared"},
            "self_history='shared' is fitted by method='em' only; with method='vi' leave it at "
            "'coupling' or 'none'",
        ),
        ({"method": "vi", "ridge": 0, "prior": "none"}, "ridge=0 is no prior"),
        (
            {"method": "vi", "basis": "lags"},
            "basis='lags' has 5 functions; use basis='exponential'",
        ),
        ({"bias": "none"}, "bias='none'; choose one of 'per_state', 'shared'"),
        ({"kernel": "one"}, "kernel='one'; choose one of 'per_state', 'shared'"),
        ({"kernel": "shared"}, "kernel='shared' needs a basis of several functions"),
        ({"smoothness": 1.0}, r"smoothness=1\.0 needs a basis of several functions"),
        ({"smoothness": -1.0}, r"smoothness=-1\.0; expected a number of at least 0"),
        ({"smoothness": 1.0, "basis": "lags", "n_lags": 2}, "take three lags at least"),
        ({"kernel": "shared", "basis": "lags", "dale": "infer"}, "cannot be combined"),
        (
            {"kernel": "shared", "basis": "lags", "method": "vi", "prior": "none"},
            "kernel='shared' is fitted by method='em' only",
        ),
        ({"self_history": "no"}, "self_history='no'; choose one of 'coupling', 'per_state'"),
        ({"dale": "guess"}, "dale='guess'; expected None, 'infer', or for every neuron -1"),
        ({"dale": [1, 2]}, r"dale=\[1, 2\]; expected None"),
        ({"dale": [[1, -1]]}, r"dale=\[\[1, -1\]\]; expected None"),
        ({"self_ridge": 2.0}, r"self_ridge=2\.0 applies to self_history='per_state' and 'shared'"),
        ({"self_ridge": -1, "self_history": "shared"}, "self_ridge=-1; expected a number of at"),
        ({"dtype": "float16"}, "dtype='float16'; choose one of 'float32', 'float64'"),
        ({"n_states": 0}, "n_states=0; expected an integer of at least 1"),
        ({"n_states": 2.0}, r"n_states=2\.0; expected an integer"),
        ({"n_states": True}, "n_states=True; expected an integer"),
        ({"n_states": None}, "n_states=None; expected an integer"),
        ({"n_lags": 0}, "n_lags=0; expected an integer of at least 1"),
        ({"n_init": 0}, "n_init=0; expected an integer of at least 1"),
        ({"max_iter": 0}, "max_iter=0; expected an integer of at least 1"),
        ({"ridge": -1.0}, r"ridge=-1\.0; expected a number of at least 0"),
        ({"ridge": np.inf}, "ridge=inf; expected a number"),
        ({"ridge": "big"}, "ridge='big'; expected a number"),
        ({"ridge": None}, "ridge=None; expected a number"),
        ({"tol": np.nan}, "tol=nan; expected a number of at least 0"),
        ({"stickiness": -0.1}, r"stickiness=-0\.1; expected a number of at least 0"),
        ({"transition_concentration": 0.5}, r"concentration=0\.5; expected a number of at least 1"),
        ({"n_basis": 3}, "n_basis=3 applies to basis='raised_cosine' only"),
        ({"n_basis": 6, "basis": "raised_cosine"}, "n_basis=6; expected an integer between 1"),
        ({"n_basis": 1.5, "basis": "raised_cosine"}, r"n_basis=1\.5; expected an integer"),
    ],
)
def test_bad_parameters(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        check(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_states": np.int64(4), "ridge": np.float32(0.1)},
        {"basis": "raised_cosine", "n_basis": 5},
        {"dale": "infer"},
        {"kernel": "shared", "basis": "lags", "smoothness": 1},
        {"dale": np.array([1, 0, -1])},
        {"self_history": "per_state", "self_ridge": 0},
        {"method": "vi", "basis": "lags", "prior": "gaussian", "batch_size": 3},
        {"basis": "lags", "ridge": 0, "tol": 0, "transition_concentration": 1},
    ],
)
def test_good_parameters(changes):
    check(**changes)


def test_constructor_only_stores():
    # scikit-learn's contract: nothing is checked or changed before fit.
    model = OneHotHMMGLM(prior="dirichlet", n_states=-3)
    assert model.prior == "dirichlet"
    assert model.n_states == -3


def test_second_order_where_affordable():
    # The demonstration recording and 25 rat units are; 200 neurons for an hour are not.
    assert affordable(60_000, 5, 20, 21)
    assert affordable(80_000, 5, 25, 26)
    assert not affordable(200_000, 5, 200, 201)
    n_columns = 101
    most = int(2 * EXACT_LIMIT / (5 * 100 * n_columns**2))
    assert affordable(most, 5, 100, n_columns)
    assert not affordable(most + 1, 5, 100, n_columns)
