"""The works to cite are the same in the code and in CITATION.cff."""

from pathlib import Path

import pytest

import onehotglm

CFF = Path(__file__).resolve().parents[1] / "CITATION.cff"
ARXIV = ("2310.15263", "2309.12927", "2312.07625", "2509.26507")


def test_all_entries_by_default() -> None:
    text = onehotglm.citation()
    assert text.count("@") == 5
    assert all(number in text for number in ARXIV)
    assert onehotglm.__version__ in text


def test_single_topics_in_the_order_asked_for() -> None:
    text = onehotglm.citation("bdh", "software")
    assert text.index("kosowski2025dragon") < text.index("@software")
    assert text.count("@") == 2


@pytest.mark.parametrize("topic", ["software", "one-hot", "rnn", "astrosnn", "bdh"])
def test_entries_have_balanced_braces(topic: str) -> None:
    entry = onehotglm.citation(topic)
    assert entry.count("{") == entry.count("}")
    assert entry.endswith("}")


def test_unknown_topic_lists_the_known_ones() -> None:
    with pytest.raises(onehotglm.InvalidInputError, match=r"'transformer'.*'one-hot'"):
        onehotglm.citation("transformer")


def test_citation_file_agrees() -> None:
    text = CFF.read_text()
    assert f"version: {onehotglm.__version__}\n" in text
    assert all(f"arXiv:{number}" in text for number in ARXIV)
