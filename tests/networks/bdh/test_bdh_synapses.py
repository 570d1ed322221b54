import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh import (
    Synapse,
    make_bdh,
    mark_concept,
    mark_last_letter,
    synapse_growth,
    synapse_selectivity,
    synapse_strength,
)
from onehotglm.networks.bdh.rotary import rotate
from onehotglm.networks.bdh.selectivity import _welch

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


@pytest.mark.slow
def test_growth_is_that_of_the_state(model):
    # At the first token nothing has turned yet, and at the second one only what was there.
    synapse = Synapse(1, 0, 3, 6)
    growth = synapse_growth(model, TEXT, [synapse])
    strength = synapse_strength(model, TEXT[:1], [synapse]).values[0, 0]
    state, _ = model.step(model.initial_state(1), jnp.array([ord("t")]))
    stored = state.synapses[1, 0, 0] @ model.core.encoder_y[0, :, 3]
    assert growth.values[0, 0] == pytest.approx(float(stored[6]), rel=1e-4)
    one = rotate(jnp.eye(8)[6], state.position)
    assert strength == pytest.approx(float(one @ stored), rel=1e-4)
    assert bytes(growth["code"].values) == TEXT.encode()


def test_synapses_must_exist(model):
    for wrong in ([], [Synapse(2, 0, 0, 0)], [Synapse(0, 0, 8, 0)], [(0, 0, 1)]):
        with pytest.raises(InvalidInputError, match=r"below \(2, 2, 8, 8\)"):
            synapse_strength(model, TEXT, wrong)


def test_concepts_are_marked_where_they_are_complete():
    marks = mark_concept("banana", "ana")
    np.testing.assert_array_equal(np.flatnonzero(marks), [3, 5])
    assert not mark_concept(b"abc", b"x").any()
    np.testing.assert_array_equal(np.flatnonzero(mark_last_letter("banana", "bana")), [1, 5])
    np.testing.assert_array_equal(
        mark_last_letter(TEXT, "cow") | mark_concept(TEXT, "cow"), [c == "w" for c in TEXT]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the text has shape \(0,\), expected \(time,\)"),
        (np.zeros((1, 4), int), r"the text has shape \(1, 4\)"),
        (np.array([0, 300]), "the text holds tokens from 0 to 300, the model knows 0 to 255"),
        (np.array([0.5, 1]), "the text is of type float64, expected integers"),
    ],
)
def test_wrong_texts_are_named(model, text, message):
    with pytest.raises(InvalidInputError, match=message):
        synapse_strength(model, text, [Synapse(0, 0, 0, 0)])


def test_a_concept_has_a_name():
    with pytest.raises(InvalidInputError, match="the concept is empty"):
        mark_concept(TEXT, "")


@pytest.mark.slow
@pytest.mark.parametrize("against_letter", [False, True])
def test_selectivity_is_welchs_t_of_synapses_that_grow(model, against_letter):
    from scipy.stats import ttest_ind

    labels = mark_concept(TEXT, "cat")
    others = mark_last_letter(TEXT, "cat") if against_letter else None
    found = synapse_selectivity(model, TEXT, labels, level=1, head=0, others=others, n_shuffles=5)
    synapses = [Synapse(1, 0, post, pre) for post in range(8) for pre in range(8)]
    growth = synapse_growth(model, TEXT, synapses).values.astype(float)
    chosen = ~labels if others is None else others
    with np.errstate(invalid="ignore"):
        changes, rises = (
            ttest_ind(values[:, labels], values[:, chosen], axis=1, equal_var=False).statistic
            for values in (growth, np.maximum(growth, 0))
        )
    shrinks = growth[:, labels].mean(axis=1) <= 0
    assert (shrinks & (changes > 0)).any()  # those that only shrink less are there
    t = np.where(np.isnan(rises), 0, rises)  # of synapses that grow at none of these tokens
    expected = np.where(shrinks, np.minimum(t, 0), t).reshape(8, 8)
    np.testing.assert_allclose(found["selectivity"], expected, rtol=1e-2, atol=1e-3)
    post, pre = int(found["best_post"]), int(found["best_pre"])
    best = found["selectivity"].max()
    assert best == found["selectivity"][post, pre]
    # Against the same letter no synapse of this random network stands out.
    assert (best > 0) == (not against_letter)
    assert found["shuffled_maximum"].sizes == {"shuffle": 5}
    assert 1 / 6 <= float(found["p_value"]) <= 1


def test_a_synapse_that_shrinks_elsewhere_is_not_for_the_concept():
    labels = np.arange(40) % 4 == 0
    noise = np.random.default_rng(0).normal(0, 0.01, 40)
    # Post 0 shrinks everywhere but at the concept, where it hardly grows; post 1 grows there.
    drive = np.stack([np.where(labels, 0.001, -1) + 0.1 * noise, labels + noise], axis=1)
    t = _welch(*(jnp.asarray(a) for a in (drive, np.ones((40, 1)), labels, ~labels)))
    assert t[0, 0] < 0.1 * t[1, 0]
    never = np.stack([np.where(labels, -0.1, -1) + noise, labels * 0 - 1.0], axis=1)
    t = _welch(*(jnp.asarray(a) for a in (never, np.ones((40, 1)), labels, ~labels)))
    np.testing.assert_array_equal(t, 0)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.ones(3, bool), {}, r"labels have shape \(3,\)"),
        (np.zeros(len(TEXT), bool), {}, "0 of 32 tokens are labelled"),
        (mark_concept(TEXT, "cat"), {"level": 2}, "level=2, head=0; the network has 2 levels"),
        (mark_concept(TEXT, "cat"), {"n_shuffles": -1}, "n_shuffles=-1, but it must be at least 0"),
        (mark_concept(TEXT, "cat"), {"others": np.ones(3)}, r"others have shape \(3,\)"),
        (mark_concept(TEXT, "cat"), {"others": np.ones(32)}, "2 tokens are both labelled and"),
        (mark_concept(TEXT, "cat"), {"others": np.zeros(32)}, "2 of 32 .* 0 are to be compared"),
    ],
)
def test_wrong_labels_are_named(model, labels, options, message):
    with pytest.raises(InvalidInputError, match=message):
        synapse_selectivity(model, TEXT, labels, **{"level": 0, "head": 0, **options})
