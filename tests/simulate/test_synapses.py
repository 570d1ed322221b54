"""Signs and strengths: Dale's law, balance, the published prior."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from onehotglm.errors import InvalidInputError
from onehotglm.simulate import make_connectome, published_connectome
from onehotglm.simulate.wiring import WIRINGS


def columns_with_both_signs(connection_type):
    return ((connection_type == 1).any(0) & (connection_type == -1).any(0)).sum()


@given(
    st.sampled_from(sorted(WIRINGS)),
    st.integers(5, 40),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_dale_gives_one_sign_per_presynaptic_neuron(kind, n_neurons, fraction, seed):
    connectome = make_connectome(kind, n_neurons, excitatory_fraction=fraction, random_state=seed)
    assert connectome.dale
    assert columns_with_both_signs(connectome.connection_type) == 0
    assert ((connectome.strength > 0) == (connectome.connection_type != 0)).all()


def test_without_dale_columns_mix_and_the_fraction_counts_connections():
    connectome = make_connectome(n_neurons=100, dale=False, excitatory_fraction=0.3)
    exists = connectome.connection_type != 0
    assert columns_with_both_signs(connectome.connection_type) > 90
    assert (connectome.connection_type[exists] == 1).mean() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(("fraction", "n_inhibitory"), [(0.8, 4), (0.99, 1), (1.0, 0), (0.0, 20)])
def test_fraction_of_excitatory_neurons(fraction, n_inhibitory):
    connectome = make_connectome(density=1.0, excitatory_fraction=fraction)
    assert (connectome.connection_type.min(axis=0) == -1).sum() == n_inhibitory


@pytest.mark.parametrize("balance", [0.5, 1.0, 3.0])
def test_balance_is_inhibition_over_excitation(balance):
    weights = make_connectome(balance=balance).weights
    assert -weights[weights < 0].sum() / weights[weights > 0].sum() == pytest.approx(balance)


def test_strengths_are_log_normal_with_the_spread_asked_for():
    weights = make_connectome(n_neurons=100, strength_spread=0.7).weights
    assert np.log(weights[weights > 0]).std() == pytest.approx(0.7, abs=0.05)
    equal = make_connectome(n_neurons=30, strength_spread=0.0).weights
    assert np.ptp(equal[equal > 0]) == 0


def test_published_prior_matches_the_published_data(shared_data):
    data = [np.load(shared_data(f"demo_seed{k}.npz"))["adjacency_prior"] for k in range(3)]
    published = np.concatenate(data).reshape(-1, 3)
    ours = published_connectome(35, random_state=1).shared_type_proba.reshape(-1, 3)
    np.testing.assert_allclose(ours.mean(0), published.mean(0), atol=0.02)
    np.testing.assert_allclose(ours.std(0), published.std(0), atol=0.02)
    for column in range(3):
        assert stats.ks_2samp(ours[:, column], published[:, column]).pvalue > 1e-3


def test_concentration_and_mean_of_the_published_prior():
    proba = published_connectome(60, type_proba=(0.3, 0.5, 0.2), concentration=10.0)
    proba = proba.shared_type_proba
    np.testing.assert_allclose(proba.mean((0, 1)), (0.3, 0.5, 0.2), atol=0.01)
    assert proba[..., 1].var() == pytest.approx(0.25 / 11, rel=0.1)  # m (1 - m) / (a + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "star"}, "kind 'star' is unknown; choose one of random, distance"),
        ({"rewiring": 0.1}, "kind 'random' has no option rewiring; it has density"),
        ({"n_neurons": 0}, "n_neurons=0; expected an integer of at least 1"),
        ({"n_neurons": True}, "n_neurons=True; expected an integer"),
        ({"excitatory_fraction": 1.1}, "excitatory_fraction=1.1"),
        ({"balance": 0.0}, "balance=0.0; expected a finite number above 0"),
        ({"strength_spread": float("inf")}, "strength_spread=inf"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        make_connectome(**arguments)


@pytest.mark.parametrize("proba", [(0.5, 0.5), (0.2, 0.2, 0.2), (0.0, 0.5, 0.5)])
def test_bad_type_proba(proba):
    with pytest.raises(InvalidInputError, match="three positive numbers that sum to one"):
        published_connectome(type_proba=proba)
