import pickle

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.decoder import RNNDecoder

SMALL = {"n_hidden": 12, "n_lags": 2, "n_steps": 100, "window": 100, "patience": 5}


# (post, pre), in log rate per spike one bin ago.
COUPLINGS = np.array(
    [
        [0.0, 1.2, 0.0, 0.0, 0.0],
        [0.0, 0.0, -1.2, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.2, 0.0],
        [0.0, 0.0, 0.0, 0.0, -1.2],
        [1.2, 0.0, 0.0, 0.0, 0.0],
    ]
)


@pytest.fixture(scope="module")
def spikes():
    rng = np.random.default_rng(0)
    counts = np.zeros((24, 400, 5))
    for t in range(1, 400):
        counts[:, t] = rng.poisson(np.minimum(0.2 * np.exp(counts[:, t - 1] @ COUPLINGS.T), 3))
    return xr.DataArray(
        counts,
        dims=("session", "time", "neuron"),
        coords={"time": 0.02 * np.arange(400), "neuron": np.arange(5)},
        attrs={"bin_size": 0.02},
    )


@pytest.fixture(scope="module")
def decoder(spikes):
    options = {**SMALL, "n_steps": 1500}
    return RNNDecoder(**options).fit(spikes[:18])


@pytest.mark.slow
def test_decoder_beats_the_mean_rates(decoder, spikes):
    assert decoder.score(spikes[18:]) > 0.1
    assert decoder.stop_reason_ in ("held-out score", "n_steps")
    assert len(decoder.validation_path_) * 50 == decoder.n_steps_


def test_couplings_have_the_true_signs(decoder):
    found = decoder.connectivity_
    assert found.dims == ("post", "pre")
    coupled = COUPLINGS != 0
    assert (np.sign(found.values[coupled]) == np.sign(COUPLINGS[coupled])).all()
    assert np.abs(found.values[coupled]).min() > 2 * np.abs(found.values[~coupled]).max()
    assert decoder.connectivity_by_lag_.sizes["lag"] == 2
    by_lag = np.abs(decoder.connectivity_by_lag_.values).sum(axis=(1, 2))
    assert by_lag[0] > 2 * by_lag[1]
    assert (decoder.connectivity_error_ > 0).all()


def test_rates_depend_on_the_past_only(decoder, spikes):
    changed = spikes[:1].copy(deep=True)
    changed[0, 200:] += 3
    before = decoder.predict_rates(spikes[:1]).values[0]
    after = decoder.predict_rates(changed).values[0]
    np.testing.assert_array_equal(before[:201], after[:201])
    assert not np.allclose(before[201:], after[201:])


def test_missing_and_lead_in_bins(decoder, spikes):
    counts = spikes[:2]
    gaps = counts.copy(deep=True)
    gaps[0, 300:] = np.nan
    shorter = decoder.predict_rates(gaps).values[0, :300]
    np.testing.assert_array_equal(shorter, decoder.predict_rates(counts).values[0, :300])
    late = counts.assign_coords(time=counts["time"] - 0.1)
    found = decoder.predict_rates(late)
    assert (found["time"] >= 0).all()
    assert found.sizes["time"] == int((late["time"] >= 0).sum()) < counts.sizes["time"]


@pytest.mark.slow
def test_contract_of_scikit_learn(spikes):
    decoder = RNNDecoder(**{**SMALL, "n_steps": 10})
    assert clone(decoder).get_params() == decoder.get_params()
    first = decoder.fit(spikes[:5]).score(spikes[5:7])
    assert clone(decoder).fit(spikes[:5]).score(spikes[5:7]) == pytest.approx(first)
    again = pickle.loads(pickle.dumps(decoder))
    assert again.score(spikes[5:7]) == pytest.approx(first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "option",
    [
        {"n_hidden": 6},
        {"cell": "gru"},
        {"n_layers": 2},
        {"link": "exp"},
        {"link": "sigmoid"},
        {"learning_rate": 0.03},
        {"weight_decay": 30.0},
        {"window": 20},
        {"batch_size": 4},
        {"n_steps": 3},
        {"validation_fraction": 0.5},
        {"random_state": 1},
    ],
    ids=str,
)
def test_each_option_changes_the_fit(spikes, option):
    plain = RNNDecoder(**{**SMALL, "n_steps": 6}).fit(spikes[:5])
    other = RNNDecoder(**{**SMALL, "n_steps": 6, **option}).fit(spikes[:5])
    assert not np.allclose(
        plain.predict_rates(spikes[:1]), other.predict_rates(spikes[:1]), rtol=1e-6
    )


@pytest.mark.slow
def test_patience_and_lags_and_progress(spikes, capsys):
    impatient = RNNDecoder(
        **{**SMALL, "n_steps": 1000, "patience": 1, "learning_rate": 0.3, "n_lags": 3},
        progress=True,
    ).fit(spikes[:5])
    assert impatient.stop_reason_ == "held-out score"
    assert impatient.n_steps_ < 1000
    assert impatient.connectivity_by_lag_.sizes["lag"] == 3
    assert "step" in capsys.readouterr().err


@pytest.mark.slow
def test_one_session_holds_out_its_end(spikes):
    decoder = RNNDecoder(**{**SMALL, "n_steps": 10}).fit(spikes[:1])
    assert np.isfinite(decoder.validation_path_).all()
    assert np.isnan(decoder.connectivity_error_).all()


@pytest.mark.slow
def test_silent_neuron_is_predicted_silent(spikes):
    quiet = spikes[:5].copy(deep=True)
    quiet[..., 2] = 0
    decoder = RNNDecoder(**{**SMALL, "n_steps": 20}).fit(quiet)
    assert float(decoder.predict_rates(quiet)[..., 2].max()) < 1.0
    assert np.isfinite(decoder.score(quiet))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"link": "square"}, "link='square' is unknown; choose one of softplus, exp, sigmoid"),
        ({"validation_fraction": 0}, "validation_fraction=0, expected a fraction"),
        ({"n_steps": 0}, "n_steps=0, but it must be at least 1"),
        ({"cell": "elman"}, "cell='elman' is unknown"),
    ],
)
def test_wrong_options_are_named(spikes, options, message):
    with pytest.raises(InvalidInputError, match=message):
        RNNDecoder(**options).fit(spikes)
