"""Where a text names a concept: the tokens at which synapses are looked at."""

import numpy as np

from onehotglm.errors import InvalidInputError


def mark_concept(text: str | bytes, concept: str | bytes) -> np.ndarray:
    """Find the bytes at which a word is complete: where a concept has just been named.

    Parameters
    ----------
    text, concept : str or bytes
        A str is encoded as UTF-8.

    Returns
    -------
    bool ndarray, shape (byte,)
        True at the last byte of each occurrence.

    Raises
    ------
    InvalidInputError
        If the concept is empty.

    Examples
    --------
    >>> mark_concept("a cat", "cat").astype(int)
    array([0, 0, 0, 0, 1])
    """
    text, concept = as_bytes(text), as_bytes(concept)
    if not concept:
        raise InvalidInputError("the concept is empty; expected a word of the text")
    marks = np.zeros(len(text), bool)
    place = text.find(concept)
    while place >= 0:
        marks[place + len(concept) - 1] = True
        place = text.find(concept, place + 1)
    return marks


def mark_last_letter(text: str | bytes, concept: str | bytes) -> np.ndarray:
    """Find the last letter of a word where it ends other words, or stands inside them.

    What a network does after a word may be what it does after the word's last letter,
    whatever stood before.  These are the places to compare with.

    Parameters
    ----------
    text, concept : str or bytes
        As in `mark_concept`.

    Returns
    -------
    bool ndarray, shape (byte,)
        True where the byte is the last one of the concept, and no occurrence of the
        concept ends.

    Raises
    ------
    InvalidInputError
        If the concept is empty.

    Examples
    --------
    >>> mark_last_letter("to the cat", "cat").astype(int)
    array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    """
    named = mark_concept(text, concept)
    return (np.frombuffer(as_bytes(text), np.uint8) == as_bytes(concept)[-1]) & ~named


def as_bytes(text: str | bytes) -> bytes:
    """Bytes of a text, in UTF-8."""
    return text.encode() if isinstance(text, str) else text
