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


def with_weights(simulation, value):
    weights = np.zeros((simulation.sizes["state"], simulation.sizes["neuron"], 1))
    weights[:, 0] = value
    return simulation.assign(covariate_weights=(("state", "neuron", "covariate"), weights))


@pytest.mark.slow
def test_covariates_move_the_rates(simulation):
    sizes = {"n_sessions": 2, "n_time_bins": 300, "random_state": 4}
    covariates = np.linspace(-1, 1, 600).reshape(2, 300, 1)
    plain = simulate_from(simulation, **sizes)
    without = simulate_from(with_weights(simulation, 0.0), covariates=covariates, **sizes)
    np.testing.assert_array_equal(without["spikes"], plain["spikes"])
    np.testing.assert_array_equal(without["covariates"], covariates)
    driven = simulate_from(with_weights(simulation, 3.0), covariates=covariates, **sizes)
    first, last = driven["spikes"].mean("time")[:, 0].values
    assert last > 2 * first
    shifted = with_weights(simulation, 3.0).assign(covariate_mean=("covariate", [5.0]))
    again = simulate_from(shifted, covariates=covariates + 5, **sizes)
    assert (again["spikes"] == driven["spikes"]).mean() > 0.999  # but for rounding


@pytest.mark.parametrize(
    ("value", "shape", "message"),
    [
        (None, (2, 300, 1), "no covariate_weights"),
        (1.0, None, "have the shape None; the Dataset has covariate_weights"),
        (1.0, (2, 300, 2), r"\(2, 300, 2\).*expected .*\(2, 300, 1\)"),
        (1.0, (2, 300, 1), "NaN or infinite"),
    ],
)
def test_covariates_that_do_not_match(simulation, value, shape, message):
    parameters = simulation if value is None else with_weights(simulation, value)
    covariates = None if shape is None else np.full(shape, np.nan)
    with pytest.raises(InvalidInputError, match=message):
        simulate_from(parameters, n_sessions=2, n_time_bins=300, covariates=covariates)


def test_rates_out_of_range_warn(simulation):
    fast = simulation.assign(bias=simulation["bias"] + 30)
    with pytest.warns(UserWarning, match="outside the range of biology"):
        simulate_from(fast, n_sessions=2, n_time_bins=300)
