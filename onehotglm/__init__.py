"""Hidden brain states and their neuron-to-neuron couplings, from spike trains.

A hidden Markov chain switches between states; in every state a Poisson GLM couples
the neurons; a one-hot prior says which couplings are inhibitory, absent or excitatory
in all states.  Start with `load_nwb` or `simulate_population`, then `OneHotHMMGLM`.

Names are imported when they are first used, so that ``import onehotglm`` is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# public name -> module that defines it
_PUBLIC = {
    "ChainComparison": "evaluation",
    "Comparison": "comparison",
    "ConvergenceWarning": "errors",
    "DataFileError": "errors",
    "IndependentChains": "estimator.independent_chains",
    "InvalidInputError": "errors",
    "OneHotGLMError": "errors",
    "OneHotHMMGLM": "estimator.onehot_hmm_glm",
    "RNNDecoder": "networks.rnn",
    "RNNGenerator": "networks.rnn",
    "ReportContent": "report",
    "StateDecoder": "estimator.state_decoder",
    "StateSelection": "evaluation",
    "block_interval": "evaluation",
    "citation": "references",
    "compare": "comparison",
    "compare_chains": "evaluation",
    "describe_nwb": "io",
    "detection_delays": "evaluation",
    "effective_connectivity": "networks.effective_connectivity",
    "load_nwb": "io",
    "make_connectome": "simulate",
    "match_couplings": "estimator.match",
    "match_paths": "estimator.match",
    "recovery": "evaluation",
    "reorder_states": "estimator.match",
    "save_nwb": "io",
    "select_n_states": "evaluation",
    "simulate_from": "simulate",
    "simulate_population": "simulate",
    "split_blocks": "evaluation",
    "state_information": "evaluation",
    "true_model": "evaluation",
    "write_report": "report",
}
_MODULES = ("comparison", "errors", "io", "kernels", "networks", "plots", "report", "simulate")

__all__ = [*_PUBLIC, *_MODULES, "__version__"]

if TYPE_CHECKING:
    from onehotglm.comparison import Comparison as Comparison, compare as compare
    from onehotglm.errors import (
        ConvergenceWarning as ConvergenceWarning,
        DataFileError as DataFileError,
        InvalidInputError as InvalidInputError,
        OneHotGLMError as OneHotGLMError,
    )
    from onehotglm.estimator.independent_chains import IndependentChains as IndependentChains
    from onehotglm.estimator.match import (
        match_couplings as match_couplings,
        match_paths as match_paths,
        reorder_states as reorder_states,
    )
    from onehotglm.estimator.onehot_hmm_glm import OneHotHMMGLM as OneHotHMMGLM
    from onehotglm.estimator.state_decoder import StateDecoder as StateDecoder
    from onehotglm.evaluation import (
        ChainComparison as ChainComparison,
        StateSelection as StateSelection,
        block_interval as block_interval,
        compare_chains as compare_chains,
        detection_delays as detection_delays,
        recovery as recovery,
        select_n_states as select_n_states,
        split_blocks as split_blocks,
        state_information as state_information,
        true_model as true_model,
    )
    from onehotglm.io import (
        describe_nwb as describe_nwb,
        load_nwb as load_nwb,
        save_nwb as save_nwb,
    )
    from onehotglm.networks.effective_connectivity import (
        effective_connectivity as effective_connectivity,
    )
    from onehotglm.networks.rnn import RNNDecoder as RNNDecoder, RNNGenerator as RNNGenerator
    from onehotglm.references import citation as citation
    from onehotglm.report import ReportContent as ReportContent, write_report as write_report
    from onehotglm.simulate import (
        make_connectome as make_connectome,
        simulate_from as simulate_from,
        simulate_population as simulate_population,
    )


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(import_module(f"onehotglm.{_PUBLIC[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"onehotglm.{name}")
    else:
        raise AttributeError(f"module 'onehotglm' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
