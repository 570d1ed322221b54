"""All decoders on the same recording: what they predict, what they say about couplings."""

from onehotglm.comparison.decoders import DECODERS, DEFAULT_DECODERS, make_decoders
from onehotglm.comparison.page import readable_table, readable_wiring, write_comparison
from onehotglm.comparison.result import Comparison, DecoderResult
from onehotglm.comparison.run import compare

__all__ = [
    "DECODERS",
    "DEFAULT_DECODERS",
    "Comparison",
    "DecoderResult",
    "compare",
    "make_decoders",
    "readable_table",
    "readable_wiring",
    "write_comparison",
]
