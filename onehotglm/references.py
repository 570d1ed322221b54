"""The works to cite: the software, and the four papers whose models it implements."""

from onehotglm.errors import InvalidInputError

_BIBTEX = {
    "software": """\
@software{onehotglm,
  title  = {onehotglm: hidden brain states and their couplings from spike trains},
  author = {{The onehotglm developers}},
  note   = {Python package, version %(version)s},
}""",
    "one-hot": """\
@inproceedings{li2024onehot,
  title     = {One-hot Generalized Linear Model for Switching Brain State Discovery},
  author    = {Li, Chengrui and Kim, Soon Ho and Rodgers, Chris and Choi, Hannah and Wu, Anqi},
  booktitle = {International Conference on Learning Representations},
  year      = {2024},
  eprint    = {2310.15263},
  archiveprefix = {arXiv},
}""",
    "rnn": """\
@inproceedings{khajehabdollahi2024emergent,
  title     = {Emergent mechanisms for long timescales depend on training curriculum and affect
               performance in memory tasks},
  author    = {Khajehabdollahi, Sina and Zeraati, Roxana and Giannakakis, Emmanouil and
               Sch{\\"a}fer, Tim J. and Martius, Georg and Levina, Anna},
  booktitle = {International Conference on Learning Representations},
  year      = {2024},
  eprint    = {2309.12927},
  archiveprefix = {arXiv},
}""",
    "astrosnn": """\
@article{shen2023astrocyte,
  title   = {Astrocyte-Enabled Advancements in Spiking Neural Networks for Large Language Modeling},
  author  = {Shen, Guobin and Zhao, Dongcheng and Dong, Yiting and Li, Yang and Li, Jindong and
             Sun, Kang and Zeng, Yi},
  journal = {arXiv preprint arXiv:2312.07625},
  year    = {2023},
}""",
    "bdh": """\
@article{kosowski2025dragon,
  title   = {The Dragon Hatchling: The Missing Link between the Transformer and Models of the
             Brain},
  author  = {Kosowski, Adrian and Uzna{\\'n}ski, Przemys{\\l}aw and Chorowski, Jan and
             Stamirowska, Zuzanna and Bartoszkiewicz, Micha{\\l}},
  journal = {arXiv preprint arXiv:2509.26507},
  year    = {2025},
}""",
}


def citation(*topics: str) -> str:
    """BibTeX entries of the software and of the papers whose models it implements.

    Parameters
    ----------
    *topics : {"software", "one-hot", "rnn", "astrosnn", "bdh"}
        Which entries; without any, all of them.

    Returns
    -------
    str
        BibTeX, one entry after the other.

    Raises
    ------
    InvalidInputError
        A topic is unknown.

    Examples
    --------
    >>> import onehotglm
    >>> print(onehotglm.citation("one-hot").splitlines()[0])
    @inproceedings{li2024onehot,
    """
    unknown = [topic for topic in topics if topic not in _BIBTEX]
    if unknown:
        raise InvalidInputError(
            f"citation got {', '.join(map(repr, unknown))}; "
            f"it knows {', '.join(map(repr, _BIBTEX))}: ask for these, or for none to get all"
        )
    from onehotglm import __version__

    entries = (_BIBTEX[topic] for topic in topics or _BIBTEX)
    return "\n\n".join(entry.replace("%(version)s", __version__) for entry in entries)
