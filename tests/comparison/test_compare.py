"""All decoders on the same blocks; what fails does not take the others along."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from onehotglm.comparison import DECODERS, compare, make_decoders
from onehotglm.errors import InvalidInputError
from onehotglm.estimator.scoring import modelled
from onehotglm.evaluation import block_interval, hold_out, split_blocks
from onehotglm.io import load_dataset
from onehotglm.networks import Decoder, HomogeneousPoisson
from tests.comparison.conftest import Broken, Copycat

BLOCKS = {"block_length": 5.0, "n_history_bins": 2, "progress": False}


@pytest.fixture(scope="module")
def comparison(simulation):
    decoders = {"constant": HomogeneousPoisson(), "copycat": Copycat()}
    return compare(simulation, decoders, reference="copycat", **BLOCKS)


@pytest.fixture(scope="module")
def blocks(simulation):
    spikes = split_blocks(simulation["spikes"], 5.0, n_history_bins=2, keep_short=False)
    return hold_out(spikes)


def test_the_table_is_that_of_the_protocol(comparison, blocks) -> None:
    train, test = blocks
    assert test.sizes["session"] == 3  # of 12 + 5 whole blocks
    table = comparison.table.set_index("name")
    decoder = Copycat().fit(train)
    row = table.loc["copycat"]
    assert row["bits_per_spike"] == pytest.approx(decoder.score(test))
    assert (row["low"], row["high"]) == pytest.approx(block_interval(decoder, test))
    assert row["training"] == pytest.approx(decoder.score(train))
    assert row["n_parameters"] == 3
    assert row["fit_seconds"] > 0
    assert np.isnan(row["difference"])
    assert table.loc["constant", "bits_per_spike"] == pytest.approx(0, abs=1e-9)


def test_differences_are_paired(comparison, blocks) -> None:
    train, test = blocks
    constant = comparison.table.set_index("name").loc["constant"]
    decoders = HomogeneousPoisson().fit(train), Copycat().fit(train)
    expected = block_interval(decoders[0], test, minus=decoders[1])
    found = constant["difference_low"], constant["difference_high"]
    assert found == pytest.approx(expected)
    assert constant["difference"] == pytest.approx(-decoders[1].score(test))


def test_spikes_are_those_of_the_held_out_blocks(comparison, blocks) -> None:
    expected = modelled(blocks[1]).sum(("time", "neuron"))
    np.testing.assert_array_equal(comparison.n_spikes, expected)


def test_readings_have_the_names_of_their_decoders(comparison) -> None:
    connectivity = comparison.connectivity
    assert connectivity["reading"].values.tolist() == ["constant", "copycat", "copycat, couplings"]
    assert connectivity["decoder"].values.tolist() == ["constant", "copycat", "copycat"]
    assert connectivity["units"].values[0] == "Hz per spike"
    twice = connectivity.sel(reading="copycat, couplings") / connectivity.sel(reading="copycat")
    assert float(twice.max()) == 2


def test_correlations_leave_out_what_is_zero(comparison) -> None:
    names = ["copycat", "copycat, couplings", "true wiring"]
    assert comparison.correlations.index.tolist() == names
    np.testing.assert_allclose(comparison.correlations, 1)


def test_the_wiring_is_found_by_the_couplings(comparison) -> None:
    table = comparison.table.set_index("name")
    assert table["wiring_reading"].to_dict() == {
        "constant": "constant",
        "copycat": "copycat, couplings",
    }
    assert table.loc["copycat", "average_precision"] == 1
    assert table.loc["constant", "average_precision"] == table.loc["constant", "base_rate"]
    assert len(comparison.wiring) == 3


def test_a_recording_has_no_wiring(simulation) -> None:
    found = compare(simulation["spikes"], {"constant": HomogeneousPoisson()}, **BLOCKS)
    assert found.truth is None
    assert found.wiring is None
    assert "average_precision" not in found.table
    assert len(found.correlations) == 0
    with pytest.raises(InvalidInputError, match="wiring of this recording is not known"):
        found.plot_wiring()
    with_truth = compare(
        simulation["spikes"], {"constant": HomogeneousPoisson()}, truth=simulation, **BLOCKS
    )
    assert "average_precision" in with_truth.table


def test_sessions_are_taken_as_they_are_on_request(simulation) -> None:
    trials = split_blocks(simulation["spikes"], 2.0)
    found = compare(trials, {"constant": HomogeneousPoisson()}, **BLOCKS | {"block_length": None})
    assert found.n_spikes.sizes["session"] == hold_out(trials)[1].sizes["session"]


def test_holdout_and_history_change_the_blocks(simulation) -> None:
    decoders = {"copycat": Copycat()}
    plain = compare(simulation, decoders, **BLOCKS)
    every_third = compare(simulation, decoders, holdout=3, **BLOCKS)
    assert every_third.n_spikes.sizes["session"] == 6
    no_past = compare(simulation, decoders, **BLOCKS | {"n_history_bins": 0})
    assert no_past.table["training"][0] != plain.table["training"][0]


# --------------------------------------------------------------------------- failures


def test_one_that_fails_does_not_lose_the_others(simulation) -> None:
    seen = []
    decoders = {
        "constant": HomogeneousPoisson(),
        "broken": Broken(ValueError("singular matrix")),
        "copycat": Copycat(),
    }
    found = compare(
        simulation, decoders, on_result=lambda so_far: seen.append(list(so_far.decoders)), **BLOCKS
    )
    assert list(found.decoders) == ["constant", "copycat"]
    assert found.failures == {"broken": "ValueError: singular matrix"}
    assert seen == [["constant"], ["constant", "copycat"]]


def test_the_reference_may_be_the_one_that_fails(simulation) -> None:
    decoders = {"broken": Broken(ValueError("no")), "constant": HomogeneousPoisson()}
    found = compare(simulation, decoders, **BLOCKS)
    assert found.reference == "broken"
    assert found.table["difference"].isna().all()


def test_an_interrupt_gives_up_one_decoder_and_two_the_rest(simulation, monkeypatch) -> None:
    from onehotglm.comparison import run

    decoders = {
        "constant": HomogeneousPoisson(),
        "first": Broken(KeyboardInterrupt()),
        "second": Broken(KeyboardInterrupt()),
        "copycat": Copycat(),
    }
    found = compare(simulation, decoders, **BLOCKS)
    assert list(found.decoders) == ["constant"]
    assert found.failures["first"] == found.failures["second"] == "interrupted"
    assert "was ended" in found.failures["copycat"]
    monkeypatch.setattr(run, "SECOND_INTERRUPT", 0.0)
    found = compare(simulation, decoders, **BLOCKS)
    assert list(found.decoders) == ["constant", "copycat"]


def test_when_all_fail_the_reasons_are_given(simulation) -> None:
    with pytest.raises(InvalidInputError, match=r"no decoder could be fitted \(a: ValueError: x"):
        compare(simulation, {"a": Broken(ValueError("x"))}, **BLOCKS)
    with pytest.raises(KeyboardInterrupt):
        compare(simulation, {"a": Broken(KeyboardInterrupt())}, **BLOCKS)


def test_warnings_of_a_fit_are_kept(simulation) -> None:
    class Warned(HomogeneousPoisson):
        def fit(self, spikes):
            import warnings

            warnings.warn("stopped early", stacklevel=1)
            return super().fit(spikes)

    found = compare(simulation, {"warned": Warned()}, **BLOCKS)
    assert found.results[0].warnings == ("stopped early",)


# ------------------------------------------------------------------------ wrong input


def test_known_decoders_are_made_by_name() -> None:
    made = make_decoders(list(DECODERS), n_states=4, random_state=7)
    assert all(isinstance(decoder, Decoder) for decoder in made.values())
    assert made["hmm-glm"].model.n_states == 4
    assert made["glm"].model.n_states == 1
    assert made["hmm-glm"].model.random_state == made["rnn"].random_state == 7
    assert [made[name].cell for name in ("rnn", "gru", "lstm")] == ["leaky", "gru", "lstm"]
    default = make_decoders(None, n_states=2, random_state=0)
    assert list(default) == ["homogeneous", "glm", "hmm-glm", "rnn", "gru"]


@pytest.mark.parametrize(
    ("decoders", "options", "message"),
    [
        (["glm", "perceptron"], {}, "'perceptron' is unknown; choose from homogeneous, glm"),
        ("cnn", {}, "'cnn' is unknown"),
        (["glm", "glm"], {}, "name each once"),
        ([], {}, "no decoder to compare; choose from"),
        ({"mine": 3}, {}, r"decoders\['mine'\] is int, expected a decoder"),
        (["homogeneous"], {"reference": "rnn"}, "reference='rnn' is not compared"),
        (["homogeneous"], {"holdout": 1}, "holdout=1, expected at least 2"),
        (["homogeneous"], {"holdout": 50}, "cannot hold out every 50th of 17 sessions"),
        (["homogeneous"], {"block_length": 70.0}, "no session lasts a whole block"),
        (["rnn"], {"block_length": 0.8, "n_history_bins": 0}, "too few for n_lags=10"),
    ],
)
def test_wrong_input_is_named_before_anything_is_fitted(
    simulation, decoders, options, message
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        compare(simulation, decoders, **BLOCKS | options)


def test_wrong_data_are_named(simulation) -> None:
    decoders = {"constant": HomogeneousPoisson()}
    with pytest.raises(InvalidInputError, match="Dataset without spikes"):
        compare(simulation[["connectivity"]], decoders, **BLOCKS)
    with pytest.raises(InvalidInputError, match="but the spikes are of 2 neurons"):
        compare(simulation["spikes"][..., :2], decoders, truth=simulation, **BLOCKS)
    silent = xr.zeros_like(simulation["spikes"])
    with pytest.raises(InvalidInputError, match="hold no spike to predict"):
        compare(silent, decoders, **BLOCKS)


# ------------------------------------------------------------------------------- files


def test_files_hold_what_the_comparison_holds(comparison, tmp_path) -> None:
    comparison.save(tmp_path)
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["name"].tolist() == ["constant", "copycat"]
    np.testing.assert_allclose(
        table["bits_per_spike"], comparison.table["bits_per_spike"], rtol=1e-5, atol=1e-9
    )
    saved = load_dataset(tmp_path / "comparison.nc", "comparison")
    np.testing.assert_allclose(saved["connectivity"], comparison.connectivity)
    per_block = (saved["bits_per_spike"] * saved["n_spikes"]).sum("session")
    expected = comparison.table["bits_per_spike"] * float(saved["n_spikes"].sum())
    np.testing.assert_allclose(per_block, expected, atol=1e-6)
    assert saved["true_wiring"].dims == ("post", "pre")
    assert saved.attrs["reference"] == "copycat"


@pytest.mark.slow
def test_real_decoders_end_to_end(tmp_path) -> None:
    from onehotglm import simulate_population

    simulation = simulate_population(
        n_neurons=6, n_states=2, n_sessions=12, n_time_bins=500, mean_rate=15, random_state=1
    )
    found = compare(simulation, ["homogeneous", "glm", "hmm-glm", "rnn"], n_states=2,
                    block_length=10.0, progress=False)  # fmt: skip
    table = found.table.set_index("name")
    # Two minutes of six neurons are too little for the RNN, which falls below the mean rates.
    assert (table.loc[["glm", "hmm-glm"], "bits_per_spike"] > 0).all()
    assert table.loc["rnn", "training"] > 0
    assert (table.drop("homogeneous")["average_precision"] > table["base_rate"].iloc[0]).all()
    assert list(found.connectivity["reading"].values) == [
        *("homogeneous", "glm", "glm, couplings"),
        *("hmm-glm", "hmm-glm, couplings", "hmm-glm, shared", "rnn"),
    ]  # fmt: skip
