"""Trees of arrays in a file: the same bits back, and clear words about files that are not."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm import DataFileError
from onehotglm.io.tree import load_header, load_tree, save_tree


class Pair(NamedTuple):
    first: object
    second: object = None


TREE = {
    "pair": Pair(np.array([np.nan, -0.0, 1e-45], np.float32), Pair(1, "text")),
    "items": ((), [None, True, -np.inf, 0.1 + 0.2], np.zeros((0, 3))),
    "integers": np.arange(3, dtype=np.int32),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tree.ckpt"
    save_tree(path, {"step": 3, "name": "Ü"}, TREE)
    return path


def test_every_bit_comes_back(file):
    tree = load_tree(file, [Pair])
    assert isinstance(tree["pair"], Pair)
    first = tree["pair"].first
    assert first.dtype == np.float32
    assert first.tobytes() == TREE["pair"].first.tobytes()
    assert tree["pair"].second == Pair(1, "text")
    empty, values, zeros = tree["items"]
    assert empty == ()
    assert values == (None, True, -np.inf, 0.1 + 0.2)
    assert zeros.shape == (0, 3)
    assert tree["integers"].dtype == np.int32
    assert load_header(file) == {"step": 3, "name": "Ü"}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_arrays_of_jax_stay_arrays_of_jax(tmp_path):
    save_tree(tmp_path / "tree", {}, (jnp.arange(2.0), np.arange(2.0)), durable=False)
    ours, theirs = load_tree(tmp_path / "tree", [])
    assert isinstance(ours, jax.Array)
    assert isinstance(theirs, np.ndarray)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-30],
        lambda content: b"",
        lambda content: b"something else",
        lambda content: content.replace(TREE["integers"].tobytes(), bytes(12)),
    ],
)
def test_a_damaged_file_is_told(file, damage):
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataFileError, match="is damaged or is no checkpoint"):
        load_tree(file, [Pair])


def test_other_files_are_told(file, tmp_path):
    with pytest.raises(DataFileError, match="does not exist"):
        load_tree(tmp_path / "missing", [])
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(DataFileError, match="is damaged or is no checkpoint"):
        load_header(tmp_path / "other.npz")
    with pytest.raises(DataFileError, match="is damaged or is no checkpoint"):
        load_tree(file, [])  # does not know Pair
