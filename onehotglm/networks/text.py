"""Text as bytes: reading, splitting, and which bytes a model is asked for.

A byte is a token; there are 256.  Two kinds of text are read: running text, where every
byte is to be predicted, and pairs of sentences, where the second one is to be predicted
from the first.
"""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onehotglm.errors import DataFileError, InvalidInputError

__all__ = [
    "Text",
    "read_pairs",
    "read_text",
    "running_text",
    "sentence_pairs",
    "split_text",
]

N_BYTES = 256

SEPARATOR, END = b"\t", b"\n"
"""Between the two sentences of a pair, and after it."""


class Text(NamedTuple):
    """A text and where windows of it may begin.

    Parameters
    ----------
    tokens : uint8 ndarray, shape (place,)
    scored : bool ndarray, shape (place,)
        Bytes that are to be predicted.
    starts : int32 ndarray, shape (start,)
        Places where windows begin in training.
    """

    tokens: np.ndarray
    scored: np.ndarray
    starts: np.ndarray


def running_text(content: bytes | str) -> Text:
    """Text of which every byte is to be predicted, from any place on.

    Parameters
    ----------
    content : bytes or str
        A str is encoded as UTF-8.

    Returns
    -------
    Text

    Raises
    ------
    InvalidInputError
        If the text has fewer than two bytes.

    Examples
    --------
    >>> running_text("abc").starts
    array([0, 1], dtype=int32)
    """
    content = content.encode() if isinstance(content, str) else content
    tokens = np.frombuffer(content, np.uint8)
    if len(tokens) < 2:
        raise InvalidInputError(
            f"the text has {len(tokens)} bytes, expected at least 2: give a longer one"
        )
    # The last byte has none after it to be predicted.
    starts = np.arange(len(tokens) - 1, dtype=np.int32)
    return Text(tokens, np.ones(len(tokens), bool), starts)


def sentence_pairs(source: list[str], target: list[str]) -> Text:
    r"""Pairs ``source TAB target NEWLINE``; the target and its end are to be predicted.

    Parameters
    ----------
    source, target : list of str
        Sentences that belong together, in the same order.

    Returns
    -------
    Text
        Windows begin where a pair does.

    Raises
    ------
    InvalidInputError
        If the lists are empty or of different lengths.

    Examples
    --------
    >>> pairs = sentence_pairs(["a dog"], ["ein Hund"])
    >>> bytes(pairs.tokens), bytes(pairs.tokens[pairs.scored])
    (b'a dog\tein Hund\n', b'ein Hund\n')
    """
    if len(source) != len(target) or not source:
        raise InvalidInputError(
            f"{len(source)} source and {len(target)} target sentences, expected equally many, at "
            "least one; give the two files of one data set"
        )
    parts, asked, starts, place = [], [], [], 0
    for first, second in zip(source, target, strict=True):
        head, tail = first.encode() + SEPARATOR, second.encode() + END
        parts += [head, tail]
        asked += [np.zeros(len(head), bool), np.ones(len(tail), bool)]
        starts.append(place)
        place += len(head) + len(tail)
    tokens = np.frombuffer(b"".join(parts), np.uint8)
    return Text(tokens, np.concatenate(asked), np.array(starts, np.int32))


def read_text(path: str | Path) -> Text:
    """Read running text from a file, plain or gzipped.

    Parameters
    ----------
    path : path
        For instance of ``tinyshakespeare.txt``.

    Returns
    -------
    Text

    Raises
    ------
    DataFileError
        If the file cannot be read.
    InvalidInputError
        If it has fewer than two bytes.
    """
    return running_text(_read(path))


def read_pairs(source: str | Path, target: str | Path) -> Text:
    """Read pairs of sentences from two files, one sentence a line, plain or gzipped.

    Parameters
    ----------
    source, target : path
        For instance of ``multi30k_en.txt.gz`` and ``multi30k_de.txt.gz``.

    Returns
    -------
    Text

    Raises
    ------
    DataFileError
        If a file cannot be read, or is not in UTF-8.
    InvalidInputError
        If the files are empty or have different numbers of lines.
    """
    return sentence_pairs(*(_lines(path) for path in (source, target)))


def split_text(text: Text, validation_fraction: float = 0.1) -> tuple[Text, Text]:
    """Split a text into its beginning, for training, and its end, for validation.

    Parameters
    ----------
    text : Text
        From one of the functions above.
    validation_fraction : float
        Share of the end; the cut is at the next place where windows may begin.

    Returns
    -------
    train, validation : Text

    Raises
    ------
    InvalidInputError
        If a part would be empty.

    Examples
    --------
    >>> train, validation = split_text(running_text("abcdefghij"), 0.3)
    >>> bytes(train.tokens), bytes(validation.tokens)
    (b'abcdefg', b'hij')
    """
    wanted = round((1 - validation_fraction) * len(text.tokens))
    later = text.starts[text.starts >= wanted]
    if not 0 < validation_fraction < 1 or not len(later) or wanted < 2:
        raise InvalidInputError(
            f"validation_fraction={validation_fraction} leaves a part of the {len(text.tokens)} "
            "bytes empty; give a fraction between 0 and 1, or a longer text"
        )
    cut = int(later[0])
    before = text.starts[text.starts < cut - 1]
    return (
        Text(text.tokens[:cut], text.scored[:cut], before),
        Text(text.tokens[cut:], text.scored[cut:], later - cut),
    )


def _lines(path: str | Path) -> list[str]:
    try:
        content = _read(path).decode()
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path} is not in UTF-8 ({error}); convert it") from error
    # Not str.splitlines, which also splits at signs that stand inside sentences.
    lines = content.replace("\r\n", "\n").removesuffix("\n").split("\n")
    return lines if content else []


def _read(path: str | Path) -> bytes:
    try:
        content = Path(path).read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"{path} cannot be read as text ({error}); check the path") from error
