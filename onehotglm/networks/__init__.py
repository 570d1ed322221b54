"""Other networks that play the brain: they generate spikes, and are fitted to spikes."""

from onehotglm.networks.base import Decoder, Generator
from onehotglm.networks.effective_connectivity import effective_connectivity
from onehotglm.networks.hmm_glm import HMMGLMDecoder
from onehotglm.networks.homogeneous import HomogeneousPoisson

__all__ = ["Decoder", "Generator", "HMMGLMDecoder", "HomogeneousPoisson", "effective_connectivity"]
