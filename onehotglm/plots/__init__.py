"""Figures: functions that take xarray objects, draw on matplotlib Axes and return them.

Every function has ``ax=None`` and then makes a figure of its own; those with
several panels make the figure and return the array of Axes.  No function calls
``plt.show`` or changes a setting of matplotlib.
"""

from onehotglm.plots.chains import plot_chain_comparison
from onehotglm.plots.comparison import (
    plot_correlations,
    plot_differences,
    plot_readings,
    plot_wiring,
)
from onehotglm.plots.connectivity import plot_connectivity, plot_coupling_matrix
from onehotglm.plots.diagnostics import (
    calibration_table,
    plot_calibration,
    plot_time_rescaling,
    rescaled_intervals,
)
from onehotglm.plots.driven import plot_driven_transitions
from onehotglm.plots.graphs import plot_graph
from onehotglm.plots.intervals import plot_coupling_intervals
from onehotglm.plots.kernels import plot_kernels
from onehotglm.plots.ordering import neuron_order
from onehotglm.plots.recovery import (
    plot_coupling_recovery,
    plot_precision_recall,
    plot_recovery,
    plot_type_confusion,
)
from onehotglm.plots.scores import plot_objective, plot_scores
from onehotglm.plots.selection import plot_selection
from onehotglm.plots.states import plot_posterior, plot_raster, plot_state_strip, plot_states
from onehotglm.plots.style import coupling_colormap, state_colors, style
from onehotglm.plots.text import plot_text_strength
from onehotglm.plots.timescales import (
    plot_autocorrelation,
    plot_curriculum,
    plot_robustness,
    plot_timescales,
)
from onehotglm.plots.transitions import (
    plot_dwell_times,
    plot_occupancy,
    plot_transition_matrix,
    state_table,
)

__all__ = [
    "calibration_table",
    "coupling_colormap",
    "neuron_order",
    "plot_autocorrelation",
    "plot_calibration",
    "plot_chain_comparison",
    "plot_connectivity",
    "plot_correlations",
    "plot_coupling_intervals",
    "plot_coupling_matrix",
    "plot_coupling_recovery",
    "plot_curriculum",
    "plot_differences",
    "plot_driven_transitions",
    "plot_dwell_times",
    "plot_graph",
    "plot_kernels",
    "plot_objective",
    "plot_occupancy",
    "plot_posterior",
    "plot_precision_recall",
    "plot_raster",
    "plot_readings",
    "plot_recovery",
    "plot_robustness",
    "plot_scores",
    "plot_selection",
    "plot_state_strip",
    "plot_states",
    "plot_text_strength",
    "plot_time_rescaling",
    "plot_timescales",
    "plot_transition_matrix",
    "plot_type_confusion",
    "plot_wiring",
    "rescaled_intervals",
    "state_colors",
    "state_table",
    "style",
]
