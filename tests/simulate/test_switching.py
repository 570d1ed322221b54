"""How types and strengths change over states."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from onehotglm.errors import InvalidInputError
from onehotglm.simulate import make_connectome, published_connectome
from onehotglm.simulate.switching import wiring_over_states


def wire(connectome=None, n_states=40, seed=5, **options):
    connectome = connectome or make_connectome(n_neurons=20, dale=False, random_state=1)
    return connectome, wiring_over_states(
        connectome, n_states, np.random.default_rng(seed), **options
    )


def test_fractions_that_vanish_and_flip():
    connectome, wiring = wire(vanish=0.3, flip=0.2, n_states=200)
    base, types = connectome.connection_type, wiring.connection_type
    exists = base != 0
    relative = (types * base)[:, exists]
    assert (relative == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert (relative == -1).mean() == pytest.approx(0.2, abs=0.01)
    assert (types[:, ~exists] == 0).all()
    frequency = np.stack([(types == k).mean(0) for k in (-1, 0, 1)], axis=-1)
    np.testing.assert_allclose(frequency, wiring.shared_type_proba, atol=0.18)


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.integers(1, 5), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_probabilities_and_signs_are_consistent(vanish, flip, n_states, n_neurons):
    connectome = make_connectome(n_neurons=n_neurons, dale=False, density=0.5)
    wiring = wiring_over_states(
        connectome, n_states, np.random.default_rng(1), vanish=vanish, flip=flip
    )
    np.testing.assert_allclose(wiring.shared_type_proba.sum(-1), 1)
    assert (np.sign(wiring.connectivity) == wiring.connection_type).all()
    chosen = np.take_along_axis(
        np.broadcast_to(wiring.shared_type_proba, (*wiring.connection_type.shape, 3)),
        wiring.connection_type[..., None].astype(int) + 1,
        axis=-1,
    )
    assert (chosen > 0).all()  # no type that has probability zero


def test_one_state_is_the_connectome_itself():
    connectome, wiring = wire(n_states=1)
    np.testing.assert_array_equal(wiring.connectivity[0], connectome.weights)
    np.testing.assert_array_equal(wiring.shared_connectivity, connectome.weights)


def test_several_states_differ_by_default():
    _, wiring = wire(n_states=2)
    assert (wiring.connection_type[0] != wiring.connection_type[1]).any()
    _, still = wire(n_states=2, vanish=0.0, strength_variation=0.0)
    np.testing.assert_array_equal(still.connectivity[0], still.connectivity[1])


def test_strength_varies_about_the_shared_one():
    connectome, wiring = wire(n_states=400, vanish=0.0, strength_variation=0.4)
    exists = connectome.connection_type != 0
    ratio = (np.abs(wiring.connectivity) / np.where(exists, connectome.strength, 1))[:, exists]
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert np.log(ratio).std() == pytest.approx(0.4, abs=0.01)


def test_shared_connectivity_is_the_mean_over_states():
    _, wiring = wire(n_states=4000, vanish=0.3, flip=0.1)
    error = wiring.connectivity.mean(0) - wiring.shared_connectivity
    scale = wiring.connectivity.std(0) / np.sqrt(4000) + 1e-9
    assert np.abs(error / scale).max() < 5


def test_dale_holds_in_every_state():
    types = wire(make_connectome(n_neurons=30), vanish=0.4)[1].connection_type
    assert not ((types == 1).any((0, 1)) & (types == -1).any((0, 1))).any()


def test_published_types_and_strengths_match_the_published_data(shared_data):
    data = [np.load(shared_data(f"demo_seed{k}.npz")) for k in range(3)]
    weights = np.abs(np.concatenate([d["weights_true"][d["adjacency_true"] != 0] for d in data]))
    types = np.stack([d["adjacency_true"] for d in data])
    _, wiring = wire(published_connectome(40, random_state=2), n_states=5)
    ours = np.abs(wiring.connectivity[wiring.connection_type != 0])
    assert ours.max() <= np.log(4)
    assert stats.ks_2samp(ours, weights).pvalue > 1e-3
    for kind in (-1, 0, 1):
        assert (wiring.connection_type == kind).mean() == pytest.approx(
            (types == kind).mean(), abs=0.02
        )

    def same_in_all_states(array):
        return (array == array[..., :1, :, :]).all(axis=-3).mean()

    assert same_in_all_states(wiring.connection_type) == pytest.approx(
        same_in_all_states(types), abs=0.05
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vanish": 1.5}, "vanish=1.5"),
        ({"flip": -0.1}, "flip=-0.1"),
        ({"vanish": 0.7, "flip": 0.7}, "expected a sum of at most 1"),
        ({"strength_variation": -1}, "strength_variation=-1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InvalidInputError, match=message):
        wire(**options)


def test_flips_would_break_dale():
    with pytest.raises(InvalidInputError, match="would break Dale's law"):
        wire(make_connectome(), flip=0.1)


@pytest.mark.parametrize("option", ["vanish", "flip", "strength_variation"])
def test_published_connectome_has_its_own_law(option):
    with pytest.raises(InvalidInputError, match="leave"):
        wire(published_connectome(5), **{option: 0.1})
