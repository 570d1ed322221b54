"""One matrix against a known wiring."""

import numpy as np
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.evaluation import true_wiring, wiring_recovery


def matrix(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), dims=("post", "pre"))


@pytest.fixture
def truth() -> xr.DataArray:
    return matrix([[0, 2, 0], [0, 0, -1], [0, 0, 0]])


def test_the_truth_finds_itself(truth) -> None:
    found = wiring_recovery(0.1 * truth, truth)
    assert found.to_dict() == pytest.approx(
        {"average_precision": 1.0, "base_rate": 2 / 6, "sign_accuracy": 1.0, "correlation": 1.0}
    )


def test_what_a_neuron_does_to_itself_does_not_count(truth) -> None:
    assert wiring_recovery(truth + 9 * np.eye(3), truth).equals(wiring_recovery(truth, truth))


def test_precision_and_signs_by_hand(truth) -> None:
    # Ranked: a connection, an absent one, a connection; one sign is wrong.
    found = wiring_recovery(matrix([[0, 3, 2], [0, 0, 1], [0, 0, 0]]), truth)
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["sign_accuracy"] == 0.5


def test_no_couplings_find_connections_by_chance(truth) -> None:
    found = wiring_recovery(0 * truth, truth)
    assert found["average_precision"] == pytest.approx(found["base_rate"])
    assert np.isnan([found["sign_accuracy"], found["correlation"]]).all()
    assert np.isnan(wiring_recovery(truth, 0 * truth)["average_precision"])


def test_states_weigh_as_long_as_they_last() -> None:
    couplings = xr.DataArray([[[0, 4.0]], [[0, 0]]], dims=("state", "post", "pre"))
    truth = couplings.to_dataset(name="connectivity")
    assert true_wiring(truth).values.tolist() == [[0.0, 2.0]]
    truth["states"] = (("session", "time"), [[1, 1, 1, 0, -1]])
    assert true_wiring(truth).values.tolist() == [[0.0, 1.0]]
    one = couplings.isel(state=0).transpose("pre", "post").to_dataset(name="connectivity")
    assert true_wiring(one).dims == ("post", "pre")


def test_errors_say_what_is_missing(truth) -> None:
    with pytest.raises(InvalidInputError, match="no connectivity; it has rates"):
        true_wiring(xr.Dataset({"rates": 1}))
    with pytest.raises(InvalidInputError, match="same neurons in the same order"):
        wiring_recovery(truth[:2, :2], truth)
