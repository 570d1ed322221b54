"""Seeds of every kind."""

import jax
import numpy as np
import pytest

from onehotglm.errors import InvalidInputError
from onehotglm.random_state import as_key, jax_key, numpy_generator, spawn


@pytest.mark.parametrize(
    "make",
    [
        lambda: 3,
        lambda: np.int64(3),
        lambda: np.random.default_rng(3),
        lambda: np.random.RandomState(3),
        lambda: jax.random.key(3),
        lambda: jax.random.PRNGKey(3),
        lambda: np.asarray(jax.random.PRNGKey(3)),
        lambda: jax.random.key(3, impl="rbg"),
    ],
)
def test_the_same_seed_gives_the_same_stream(make):
    first, second = (numpy_generator(make()).integers(2**60) for _ in range(2))
    assert first == second
    keys = [jax.random.key_data(as_key(make())) for _ in range(2)]
    np.testing.assert_array_equal(*keys)


def test_a_key_is_that_of_its_seed():
    assert as_key(np.int64(3)) == as_key(3) == jax.random.key(3) != as_key(4)
    assert as_key(jax.random.key(3, impl="rbg")) == jax.random.key(3, impl="rbg")
    assert as_key(None) != as_key(None)


def test_typed_and_legacy_keys_agree():
    typed, legacy = (
        numpy_generator(key).integers(2**60) for key in (jax.random.key(3), jax.random.PRNGKey(3))
    )
    assert typed == legacy


def test_none_is_fresh_and_a_generator_advances():
    assert numpy_generator(None).integers(2**60) != numpy_generator(None).integers(2**60)
    rng = np.random.default_rng(0)
    assert numpy_generator(rng) is rng
    assert (jax.random.key_data(jax_key(rng)) != jax.random.key_data(jax_key(rng))).any()


def test_streams_are_independent():
    draws = {stream.integers(2**60) for stream in spawn(np.random.default_rng(0), 5)}
    assert len(draws) == 5


@pytest.mark.parametrize(
    "bad", [-1, 1.5, True, "0", np.zeros(2), np.zeros((3, 2), np.uint32), [1, 2]]
)
@pytest.mark.parametrize("convert", [numpy_generator, as_key])
def test_what_is_not_a_seed(convert, bad):
    with pytest.raises(InvalidInputError, match="is not a seed; pass a non-negative int"):
        convert(bad)


@pytest.mark.parametrize("convert", [numpy_generator, as_key])
def test_a_batch_of_keys_is_not_a_seed(convert):
    with pytest.raises(InvalidInputError, match="is not a seed"):
        convert(jax.random.split(jax.random.key(0), 3))
