import numpy as np
import pytest
import xarray as xr
from scipy.stats import kstest

from onehotglm import plots
from onehotglm.errors import InvalidInputError

BIN_SIZE = 0.02


def as_array(values):
    values = np.asarray(values, dtype=float)
    time = BIN_SIZE * np.arange(values.shape[1])
    return xr.DataArray(
        values,
        dims=("session", "time", "neuron"),
        coords={"time": time},
        attrs={"bin_size": BIN_SIZE},
    )


@pytest.fixture(scope="module")
def known():
    """Counts that were drawn from the rates (Hz), with up to several spikes in a bin."""
    rng = np.random.default_rng(3)
    hertz = 25 * np.exp(np.cumsum(rng.normal(0, 0.05, (5, 2000, 6)), axis=1).clip(-1.5, 1.5))
    return as_array(hertz), as_array(rng.poisson(hertz * BIN_SIZE))


def test_known_rates_are_calibrated(known):
    table = plots.calibration_table(*known, n_groups=40)
    inside = (table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])
    assert inside.mean() >= 0.85
    assert table["n_bins"].sum() == known[1].size
    assert table["predicted"].is_monotonic_increasing


def test_wrong_rates_are_not_calibrated(known):
    rates, spikes = known
    table = plots.calibration_table(2 * rates, spikes)
    assert (table["predicted"] > table["high"]).all()


def test_interval_covers_the_mean_of_a_poisson_count_without_spikes():
    rates = as_array(np.full((1, 100, 1), 1.0))
    row = plots.calibration_table(rates, as_array(np.zeros((1, 100, 1))), n_groups=1).iloc[0]
    assert row["observed"] == row["low"] == 0
    assert row["high"] == pytest.approx(-np.log(0.025) / (100 * BIN_SIZE))


def test_calibration_dots_are_the_table(known):
    table = plots.calibration_table(*known, n_groups=7)
    ax = plots.plot_calibration(*known, n_groups=7)
    dots = ax.containers[0].lines[0]
    np.testing.assert_allclose(dots.get_xydata(), table[["predicted", "observed"]])
    assert ax.get_xlim() == pytest.approx(ax.get_ylim())


def test_rescaled_intervals_of_the_true_rates_are_uniform(known):
    intervals = plots.rescaled_intervals(*known)
    p_values = [kstest(sample, "uniform").pvalue for sample in intervals]
    assert min(p_values) > 0.01 / len(p_values)
    n_spikes = known[1].sum(("session", "time"))
    assert [len(sample) for sample in intervals] == n_spikes.values.tolist()


def test_intervals_stay_uniform_when_bins_are_missing(known):
    rates, spikes = known
    holes = spikes.where(np.random.default_rng(0).random(spikes.shape) > 0.3)
    assert all(kstest(s, "uniform").pvalue > 1e-3 for s in plots.rescaled_intervals(rates, holes))


def test_rescaling_finds_constant_rates_wrong(known):
    rates, spikes = known
    flat = rates.mean(("session", "time")).broadcast_like(rates)
    ax = plots.plot_time_rescaling(flat, spikes)
    assert ax.texts[0].get_text().startswith("0 of 6")
    good = plots.plot_time_rescaling(rates, spikes)
    assert int(good.texts[0].get_text().split()[0]) >= 5


def test_seed_of_the_rescaling_changes_the_places(known):
    first = plots.rescaled_intervals(*known)[0]
    np.testing.assert_array_equal(first, plots.rescaled_intervals(*known, random_state=0)[0])
    assert not np.array_equal(first, plots.rescaled_intervals(*known, random_state=1)[0])
    lines = [
        plots.plot_time_rescaling(*known, random_state=seed).lines[1].get_ydata() for seed in (0, 1)
    ]
    assert not np.array_equal(*lines)


def test_lead_in_of_the_spikes_is_left_out(known):
    rates, spikes = known
    spikes = spikes.assign_coords(time=spikes["time"] - 1.0)
    shifted = rates.assign_coords(time=rates["time"] - 1.0).isel(time=slice(50, None))
    table = plots.calibration_table(shifted, spikes, n_groups=3)
    assert table["n_bins"].sum() == 5 * 1950 * 6


def test_errors_of_rates_and_spikes(known):
    rates, spikes = known
    with pytest.raises(InvalidInputError, match="rates have dims"):
        plots.plot_calibration(rates.isel(neuron=0), spikes)
    with pytest.raises(InvalidInputError, match="rates have shape"):
        plots.plot_calibration(rates.isel(neuron=[0]), spikes)
    with pytest.raises(InvalidInputError, match="no bin has both"):
        plots.plot_calibration(rates, spikes * np.nan)
    with pytest.raises(InvalidInputError, match="no neuron has the five spikes"):
        plots.plot_time_rescaling(rates, 0 * spikes)
