import gzip

import numpy as np
import pytest

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.networks.text import (
    read_pairs,
    read_text,
    running_text,
    sentence_pairs,
    split_text,
)


def test_plain_and_gzipped_files_are_the_same(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"Dear\nall")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"Dear\nall"))
    for name in ("a.txt", "a.txt.gz"):
        text = read_text(tmp_path / name)
        assert bytes(text.tokens) == b"Dear\nall"
        assert text.scored.all()
        assert len(text.starts) == 7


def test_pairs_are_asked_for_the_second_sentence(tmp_path):
    (tmp_path / "en").write_text("a dog\na cat\n")
    (tmp_path / "de").write_text("ein Hund\neine Katze mit Hütchen\n", encoding="utf-8")
    text = read_pairs(tmp_path / "en", tmp_path / "de")
    assert bytes(text.tokens).decode().startswith("a dog\tein Hund\na cat\teine")
    assert bytes(text.tokens[text.scored]).decode() == "ein Hund\neine Katze mit Hütchen\n"
    np.testing.assert_array_equal(text.starts, [0, 15])


def test_pairs_are_split_between_pairs():
    pairs = sentence_pairs(["a"] * 10, ["b"] * 10)
    train, validation = split_text(pairs, 0.25)
    assert bytes(train.tokens) == b"a\tb\n" * 8
    assert bytes(validation.tokens) == b"a\tb\n" * 2
    np.testing.assert_array_equal(validation.starts, [0, 4])
    assert train.starts.max() + 4 == len(train.tokens)


def test_windows_of_the_training_text_stay_inside():
    train, validation = split_text(running_text("abcdefghij"), 0.3)
    assert train.starts.max() == len(train.tokens) - 2
    assert validation.starts.max() == len(validation.tokens) - 2


def test_the_shared_texts_are_read(shared_data):
    train, validation = split_text(read_text(shared_data("tinyshakespeare.txt")))
    assert bytes(train.tokens[:13]) == b"First Citizen"
    assert len(validation.tokens) == pytest.approx(0.1 * 1_115_394, abs=2)
    pairs = read_pairs(shared_data("multi30k_en.txt.gz"), shared_data("multi30k_de.txt.gz"))
    assert bytes(pairs.tokens).count(b"\n") == len(pairs.starts) == 29_000


def test_lines_may_end_as_on_windows(tmp_path):
    (tmp_path / "en").write_bytes(b"a dog\r\na cat\r\n")
    (tmp_path / "de").write_bytes(b"ein Hund\neine Katze")
    text = read_pairs(tmp_path / "en", tmp_path / "de")
    assert bytes(text.tokens) == b"a dog\tein Hund\na cat\teine Katze\n"


def test_damaged_and_empty_files_are_named(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\x08\x00" + bytes(range(97, 120)))
    with pytest.raises(DataFileError, match=r"a\.gz cannot be read as text"):
        read_text(tmp_path / "a.gz")
    (tmp_path / "latin").write_bytes("Hütchen".encode("latin-1"))
    with pytest.raises(DataFileError, match="latin is not in UTF-8"):
        read_pairs(tmp_path / "latin", tmp_path / "latin")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="the text has 0 bytes, expected at least 2"):
        read_text(tmp_path / "empty")
    with pytest.raises(InvalidInputError, match="0 source and 0 target sentences"):
        read_pairs(tmp_path / "empty", tmp_path / "empty")


def test_wrong_texts_are_named(tmp_path):
    with pytest.raises(DataFileError, match="cannot be read as text"):
        read_text(tmp_path / "nowhere.txt")
    with pytest.raises(InvalidInputError, match="the text has 1 bytes"):
        running_text("a")
    with pytest.raises(InvalidInputError, match="2 source and 1 target sentences"):
        sentence_pairs(["a", "b"], ["c"])
    for fraction in (0.0, 1.0, 0.01):
        with pytest.raises(InvalidInputError, match=f"validation_fraction={fraction} leaves"):
            split_text(running_text("abcdefghij"), fraction)
