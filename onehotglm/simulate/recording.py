"""Spikes from known parameters: those of a simulation, or of a fitted model."""

import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from onehotglm.errors import InvalidInputError
from onehotglm.kernels.observations import OBSERVATIONS, links_for
from onehotglm.kernels.rollout import Rollout, rollout, sample_driven_states
from onehotglm.random_state import RandomState, jax_key, numpy_generator
from onehotglm.simulate.checks import check_count

PARAMETERS = ("bias", "weights", "basis_functions", "transition_matrix", "initial_proba")
RECORDED = ("spikes", "states", "rates", "covariates", "transition_inputs")

# Faster than any neuron of cortex or hippocampus fires for long.
_HIGHEST_MEAN_RATE = 300.0  # Hz


def simulate_from(
    parameters: xr.Dataset,
    *,
    n_sessions: int = 1,
    n_time_bins: int = 3000,
    random_state: RandomState = 0,
    covariates: ArrayLike | None = None,
    transition_inputs: ArrayLike | None = None,
) -> xr.Dataset:
    """Record a population whose parameters are known.

    More data from an earlier simulation (fresh test sessions of the same population),
    or surrogate data from a fitted model.

    Parameters
    ----------
    parameters : xarray.Dataset
        From `simulate_population` or a fit's ``to_dataset()``: `bias`, `weights`,
        `basis_functions`, `transition_matrix`, `initial_proba`, attributes `bin_size`
        and `link`; where it is not Poisson, the attribute `observation` and `dispersion`
        (neuron,); where there are covariates, `covariate_weights` (state, neuron, covariate),
        and `covariate_mean` (covariate,) if it is not zero; where inputs drive the
        transitions, `transition_weights` (state, input), and `transition_input_mean` (input,).
    n_sessions : int
    n_time_bins : int
        Per session. Every session starts from silence, its first state from
        `initial_proba`.
    random_state : int, numpy Generator or RandomState, or jax key
    covariates : array, shape (session, time, covariate), optional
        Of parameters with `covariate_weights`.
    transition_inputs : array, shape (session, time, input), optional
        Of parameters with `transition_weights`.

    Returns
    -------
    xarray.Dataset
        `parameters` with `spikes` (session, time, neuron; counts), `states` (session,
        time), `rates` (session, time, neuron; Hz, given the state and the past) and the
        `covariates`, if there are any.

    Raises
    ------
    InvalidInputError
        If a parameter, its covariates or inputs are missing, or the rates explode.

    Examples
    --------
    >>> from onehotglm.simulate import simulate_population
    >>> train = simulate_population(n_neurons=5, n_sessions=2, n_time_bins=100)
    >>> test = simulate_from(train, n_sessions=1, n_time_bins=50, random_state=1)
    >>> dict(test["spikes"].sizes)
    {'session': 1, 'time': 50, 'neuron': 5}
    """
    n_sessions = check_count("n_sessions", n_sessions)
    n_time_bins = check_count("n_time_bins", n_time_bins)
    _check_parameters(parameters)
    orders = {
        "bias": ("state", "neuron"),
        "weights": ("state", "post", "pre", "basis"),
        "basis_functions": ("basis", "lag"),
        "transition_matrix": ("state", "next_state"),
        "initial_proba": ("state",),
    }
    arrays = [
        jnp.asarray(parameters[name].transpose(*orders[name]).values, jnp.float32)
        for name in PARAMETERS
    ]
    dispersion = None
    if "dispersion" in parameters:
        dispersion = jnp.asarray(parameters["dispersion"].values, jnp.float32)
    key, states = jax_key(numpy_generator(random_state)), None
    drive = _drive(parameters, transition_inputs, (n_sessions, n_time_bins))
    if drive is not None:
        key, states_key = jax.random.split(key)
        states = sample_driven_states(states_key, arrays[3], drive, arrays[4])
    columns = _columns(parameters, covariates, (n_sessions, n_time_bins))
    out = rollout(
        key,
        *arrays,
        link=parameters.attrs["link"],
        observation=_observation(parameters),
        dispersion=dispersion,
        n_sessions=n_sessions,
        n_time_bins=n_time_bins,
        states=states,
        **columns,
    )
    recording = _with_recording(parameters, out)
    for name, values, dim in (
        ("covariates", covariates, "covariate"),
        ("transition_inputs", transition_inputs, "input"),
    ):
        if values is not None:
            recording[name] = (("session", "time", dim), np.asarray(values))
    _check_rates(recording)
    return recording


def _columns(
    parameters: xr.Dataset, covariates: ArrayLike | None, shape: tuple[int, int]
) -> dict[str, Any]:
    """Covariates (session, time, covariate) around their mean and their weights, or nothing."""
    if "covariate_weights" not in parameters:
        if covariates is not None:
            raise InvalidInputError(
                "got covariates, but the Dataset has no covariate_weights (state, neuron, "
                "covariate); leave them out, or add the weights"
            )
        return {}
    n_columns = parameters.sizes["covariate"]
    found = None if covariates is None else np.shape(covariates)
    if found != (*shape, n_columns):
        raise InvalidInputError(
            f"covariates have the shape {found}; the Dataset has covariate_weights, so expected "
            f"(session, time, covariate) = {(*shape, n_columns)}"
        )
    values = np.asarray(covariates, float)
    if not np.isfinite(values).all():
        raise InvalidInputError("covariates are NaN or infinite; every bin needs a value")
    if "covariate_mean" in parameters:
        values = values - parameters["covariate_mean"].values
    weights = parameters["covariate_weights"].transpose("state", "neuron", "covariate").values
    arrays = {"covariates": values, "covariate_weights": weights}
    return {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}


def _check_parameters(parameters: xr.Dataset) -> None:
    missing = [name for name in PARAMETERS if name not in parameters]
    missing += [name for name in ("bin_size", "link") if name not in parameters.attrs]
    if missing:
        raise InvalidInputError(
            f"the Dataset lacks {', '.join(missing)}; expected one from simulate_population or "
            "from a fitted model's to_dataset()"
        )
    observation = _observation(parameters)
    if observation not in OBSERVATIONS:
        raise InvalidInputError(
            f"observation {observation!r} is unknown; choose one of {', '.join(OBSERVATIONS)}"
        )
    links = links_for(observation)
    if parameters.attrs["link"] not in links:
        raise InvalidInputError(
            f"link {parameters.attrs['link']!r} is unknown for observation={observation!r}; "
            f"choose one of {', '.join(links)}"
        )
    if OBSERVATIONS[observation].dispersion is not None and "dispersion" not in parameters:
        raise InvalidInputError(
            f"observation={observation!r} needs the variable dispersion (neuron,) in the Dataset"
        )


def _drive(
    parameters: xr.Dataset, inputs: ArrayLike | None, shape: tuple[int, int]
) -> jax.Array | None:
    """How much the inputs drive into each state, (session, time, state)."""
    if "transition_weights" not in parameters:
        if inputs is not None:
            raise InvalidInputError(
                "got transition_inputs, but the Dataset has no transition_weights (state, input)"
            )
        return None
    weights = parameters["transition_weights"].transpose("state", "input").values
    wanted = (*shape, weights.shape[1])
    if inputs is None or np.shape(inputs) != wanted:
        raise InvalidInputError(
            "the Dataset has transition_weights and transition_inputs "
            + ("are missing" if inputs is None else f"have the shape {np.shape(inputs)}")
            + f"; expected the shape {wanted} (session, time, input)"
        )
    has_mean = "transition_input_mean" in parameters
    mean = parameters["transition_input_mean"].values if has_mean else 0.0
    return jnp.asarray((np.asarray(inputs) - mean) @ weights.T, jnp.float32)


def _observation(parameters: xr.Dataset) -> str:
    return parameters.attrs.get("observation", "poisson")


def _with_recording(parameters: xr.Dataset, out: Rollout) -> xr.Dataset:
    """Put a rollout beside the parameters it came from."""
    bin_size = parameters.attrs["bin_size"]
    n_sessions, n_time_bins = out.states.shape
    # A pause longer than the basis reaches back: the silence from which each session
    # starts is then also what a file with all of them holds.
    memory = parameters.sizes["lag"] * bin_size
    step = math.ceil(n_time_bins * bin_size + memory)
    coords = {
        "session": np.arange(n_sessions),
        "time": ("time", np.arange(n_time_bins) * bin_size, {"units": "s"}),
        "session_start": ("session", step * np.arange(n_sessions, dtype=float), {"units": "s"}),
    }
    dims = ("session", "time", "neuron")
    counts = np.asarray(out.counts, np.float32)
    is_signal = OBSERVATIONS[_observation(parameters)].values == "real"
    per_bin = 1.0 if is_signal else bin_size
    rates = np.asarray(out.rates, np.float32) / np.float32(per_bin)
    recording = parameters.drop_vars([*RECORDED, *coords], errors="ignore").assign_coords(coords)
    return recording.assign(
        spikes=(dims, counts, {"bin_size": bin_size, "units": "signal" if is_signal else "counts"}),
        states=(dims[:2], np.asarray(out.states, np.int64)),
        rates=(dims, rates, {"units": "signal" if is_signal else "Hz"}),
    )


def _check_rates(recording: xr.Dataset) -> None:
    """Raise where rates ran away, warn where no neuron fires like that."""
    spikes = recording["spikes"]
    remedy = (
        "weaken the couplings (simulate_population: coupling_gain=0.9 or lower), or use the "
        "softplus link"
    )
    lost = np.isnan(spikes.values).any(axis=(0, 2))
    if lost.any():
        seconds = float(recording["time"][np.argmax(lost)])
        raise InvalidInputError(
            f"the rates exploded {seconds:.2f} s after the start of a session: recurrent "
            f"excitation feeds itself; {remedy}"
        )
    if recording["rates"].attrs["units"] != "Hz":
        return
    fastest = float(recording["rates"].mean(("session", "time")).max())
    if fastest > _HIGHEST_MEAN_RATE:
        warnings.warn(
            f"a neuron fires at {fastest:.0f} Hz on average, above {_HIGHEST_MEAN_RATE:.0f} Hz "
            f"and outside the range of biology; {remedy}",
            stacklevel=3,
        )
