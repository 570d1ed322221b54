"""Fresh recordings from known parameters."""

import numpy as np
import pytest
import xarray as xr

from onehotglm.errors import InvalidInputError
from onehotglm.simulate import simulate_from, simulate_population


@pytest.fixture(scope="module")
def simulation():
    return simulate_population(n_neurons=6, n_sessions=2, n_time_bins=300)


def test_parameters_stay_and_the_recording_is_new(simulation):
    again = simulate_from(simulation, n_sessions=2, n_time_bins=300, random_state=4)
    xr.testing.assert_identical(again["weights"], simulation["weights"])
    assert (again["spikes"].values != simulation["spikes"].values).any()
    assert set(again) == set(simulation)
    assert again.attrs == simulation.attrs


def test_order_of_dims_does_not_matter(simulation):
    turned = simulation.transpose("basis", "pre", "post", "neuron", "next_state", "state", ...)
    kwargs = {"n_sessions": 2, "n_time_bins": 300}
    np.testing.assert_array_equal(
        simulate_from(turned, **kwargs)["spikes"], simulate_from(simulation, **kwargs)["spikes"]
    )


def test_sessions_are_apart_by_more_than_the_memory(simulation):
    starts = simulation["session_start"].values
    duration = simulation.sizes["time"] * 0.02
    assert starts[0] == 0
    assert starts[1] - duration >= 5 * 0.02


@pytest.mark.parametrize("name", ["bias", "transition_matrix"])
def test_missing_parameter(simulation, name):
    with pytest.raises(InvalidInputError, match=f"the Dataset lacks {name}"):
        simulate_from(simulation.drop_vars(name))


def test_missing_or_unknown_link(simulation):
    with pytest.raises(InvalidInputError, match="lacks link"):
        simulate_from(simulation.drop_attrs().assign_attrs(bin_size=0.02))
    with pytest.raises(InvalidInputError, match="link 'x' is unknown"):
        simulate_from(simulation.assign_attrs(link="x"))


def test_rates_out_of_range_warn(simulation):
    fast = simulation.assign(bias=simulation["bias"] + 30)
    with pytest.warns(UserWarning, match="outside the range of biology"):
        simulate_from(fast, n_sessions=2, n_time_bins=300)
