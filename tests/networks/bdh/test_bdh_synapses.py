import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh import (
    Synapse,
    make_bdh,
    mark_concept,
    synapse_selectivity,
    synapse_strength,
)
from onehotglm.networks.bdh.rotary import rotate

TEXT = "the cat saw the cow; the cat sat"


@pytest.fixture(scope="module")
def model():
    return make_bdh(6, n_neurons=16, n_heads=2, n_levels=2, random_state=3)


@pytest.mark.slow
def test_strength_is_what_the_state_holds(model):
    synapses = [Synapse(0, 0, 2, 5), Synapse(1, 1, 7, 1), Synapse(1, 0, 3, 3)]
    found = synapse_strength(model, TEXT, synapses)
    step, state = eqx.filter_jit(model.step), model.initial_state(1)
    for token in TEXT.encode():
        state, _ = step(state, jnp.array([token]))
    for strength, (level, head, post, pre) in zip(found.values[:, -1], synapses, strict=True):
        one = rotate(jnp.eye(8)[pre], state.position)
        expected = one @ state.synapses[level, head, 0] @ model.core.encoder_y[head, :, post]
        np.testing.assert_allclose(strength, expected, rtol=1e-3, atol=1e-8)
    assert bytes(found["code"].values) == TEXT.encode()
    np.testing.assert_array_equal(found["post"], [2, 7, 3])


def test_synapses_must_exist(model):
    for wrong in ([], [Synapse(2, 0, 0, 0)], [Synapse(0, 0, 8, 0)]):
        with pytest.raises(InvalidInputError, match=r"below \(2, 2, 8, 8\)"):
            synapse_strength(model, TEXT, wrong)


def test_concepts_are_marked_where_they_are_complete():
    marks = mark_concept("banana", "ana")
    np.testing.assert_array_equal(np.flatnonzero(marks), [3, 5])
    assert not mark_concept(b"abc", b"x").any()


@pytest.mark.slow
def test_selectivity_is_welchs_t(model):
    from scipy.stats import ttest_ind

    labels = mark_concept(TEXT, "a")
    found = synapse_selectivity(model, TEXT, labels, level=1, head=0, n_shuffles=5)
    features, neurons = model.activity(jnp.asarray(np.frombuffer(TEXT.encode(), np.uint8))[None])
    drive = np.asarray(features[1, 0] @ model.core.encoder_y[0], float)
    activity = np.asarray(neurons.x[1, 0, 0], float)
    post, pre = int(found["best_post"]), int(found["best_pre"])
    change = drive[:, post] * activity[:, pre]
    expected = ttest_ind(change[labels], change[~labels], equal_var=False).statistic
    assert float(found["selectivity"][post, pre]) == pytest.approx(expected, rel=1e-2)
    assert found["selectivity"].max() == found["selectivity"][post, pre]
    assert found["shuffled_maximum"].sizes == {"shuffle": 5}
    assert 1 / 6 <= float(found["p_value"]) <= 1


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.ones(3, bool), {}, r"labels have shape \(3,\)"),
        (np.zeros(len(TEXT), bool), {}, "0 of 32 tokens are labelled"),
        (mark_concept(TEXT, "cat"), {"level": 2}, "level=2, head=0; the network has 2 levels"),
    ],
)
def test_wrong_labels_are_named(model, labels, options, message):
    with pytest.raises(InvalidInputError, match=message):
        synapse_selectivity(model, TEXT, labels, **{"level": 0, "head": 0, **options})
