"""How good a fit is: on held-out blocks of a recording, and against a simulation's truth."""

from onehotglm.evaluation.against_truth import recovery, true_model
from onehotglm.evaluation.chains import ChainComparison, compare_chains
from onehotglm.evaluation.delays import detection_delays
from onehotglm.evaluation.held_out import (
    Scorer,
    block_interval,
    hold_out,
    resampled_interval,
    split_blocks,
)
from onehotglm.evaluation.information import state_information
from onehotglm.evaluation.select import StateSelection, select_n_states
from onehotglm.evaluation.wiring import true_wiring, wiring_recovery

__all__ = [
    "ChainComparison",
    "Scorer",
    "StateSelection",
    "block_interval",
    "compare_chains",
    "detection_delays",
    "hold_out",
    "recovery",
    "resampled_interval",
    "select_n_states",
    "split_blocks",
    "state_information",
    "true_model",
    "true_wiring",
    "wiring_recovery",
]
