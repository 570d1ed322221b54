"""The decoders that a comparison knows by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM
from onehotglm.networks import Decoder, HMMGLMDecoder, HomogeneousPoisson
from onehotglm.networks.astrosnn import AstroDecoder
from onehotglm.networks.bdh import BDHDecoder
from onehotglm.networks.rnn import RNNDecoder

FLAGSHIP = "hmm-glm"


class Choices(NamedTuple):
    """What the user may choose about the decoders that are made by name."""

    n_states: int
    random_state: int


def _hmm_glm(n_states: int, n_init: int, random_state: int) -> HMMGLMDecoder:
    model = OneHotHMMGLM(
        n_states=n_states, n_init=n_init, random_state=random_state, progress=False
    )
    return HMMGLMDecoder(model, random_state=random_state)


DECODERS: dict[str, Callable[[Choices], Decoder]] = {
    "homogeneous": lambda _: HomogeneousPoisson(),
    "glm": lambda choices: _hmm_glm(1, 1, choices.random_state),
    FLAGSHIP: lambda choices: _hmm_glm(choices.n_states, 3, choices.random_state),
    "rnn": lambda choices: RNNDecoder(random_state=choices.random_state),
    "gru": lambda choices: RNNDecoder(cell="gru", random_state=choices.random_state),
    "lstm": lambda choices: RNNDecoder(cell="lstm", random_state=choices.random_state),
    "astrosnn": lambda choices: AstroDecoder(random_state=choices.random_state),
    "bdh": lambda choices: BDHDecoder(random_state=choices.random_state),
}
"""Name of a decoder -> how to make it; a new decoder is one more line."""

DEFAULT_DECODERS = ("homogeneous", "glm", FLAGSHIP, "rnn", "gru")


def make_decoders(
    chosen: Sequence[str] | Mapping[str, Decoder] | None, *, n_states: int, random_state: int
) -> dict[str, Decoder]:
    """Make the decoders to compare, not yet fitted.

    Parameters
    ----------
    chosen : sequence of str, mapping of str to Decoder, or None
        Names of `DECODERS`; or decoders of your own with the names to show them by; or the
        default ones.
    n_states, random_state : int
        For decoders that are made by name.

    Returns
    -------
    dict of str to Decoder

    Raises
    ------
    InvalidInputError
        If a name is unknown or comes twice, an entry is no decoder, or there are none.

    Examples
    --------
    >>> list(make_decoders(["glm", "rnn"], n_states=3, random_state=0))
    ['glm', 'rnn']
    """
    if isinstance(chosen, Mapping):
        for name, decoder in chosen.items():
            if not isinstance(decoder, Decoder):
                raise InvalidInputError(
                    f"decoders[{name!r}] is {type(decoder).__name__}, expected a decoder such as "
                    "onehotglm.networks.HMMGLMDecoder(OneHotHMMGLM(n_states=5))"
                )
        made = dict(chosen)
    else:
        names = DEFAULT_DECODERS if chosen is None else _checked_names(chosen)
        choices = Choices(n_states, random_state)
        made = {name: DECODERS[name](choices) for name in names}
    if not made:
        raise InvalidInputError(f"no decoder to compare; choose from {', '.join(DECODERS)}")
    return made


def _checked_names(names: Sequence[str]) -> list[str]:
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in DECODERS:
            raise InvalidInputError(
                f"the decoder {name!r} is unknown; choose from {', '.join(DECODERS)}, or pass "
                "a dict with decoders of your own"
            )
    if len(set(names)) < len(names):
        raise InvalidInputError(f"decoders are {', '.join(names)}; name each once")
    return names
