"""One training loop for all networks.

The inside is one compiled program: `run_steps` scans over many steps, each of which
draws its batch, takes the gradient and updates the parameters.  The outside, `train`,
is a plain loop over such calls that records, stops early, writes checkpoints and
shows progress.
"""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxtyping import Array, PRNGKeyArray

from onehotglm.errors import ConvergenceWarning, DataFileError, InvalidInputError
from onehotglm.networks.checks import check_sizes, read_npz
from onehotglm.networks.optimiser import Optimiser
from onehotglm.networks.shared_batch import DEVICE_AXIS
from onehotglm.random_state import as_key

__all__ = [
    "EarlyStopping",
    "Optimiser",
    "TrainingRun",
    "TrainingState",
    "load_training",
    "run_steps",
    "save_training",
    "start_training",
    "train",
]

Metrics = dict[str, Array]

CONTENT = "a checkpoint"


Objective = Callable[..., tuple[Array, Metrics]]
"""``(model, key, *data)``: draws a batch, returns its loss and what else to record of it.

An objective is a static argument of the compiled program: it must be hashable and equal
to another one that does the same (a frozen dataclass or a module-level function).

It may have a method ``share(n_devices)`` that returns an objective for one device's part
of the batch, as `onehotglm.networks.shared_batch.SharedBatch` has.  Then all devices of
the default backend work on every step; each finds its number with
``jax.lax.axis_index(DEVICE_AXIS)``, and their losses, metrics and gradients are averaged.
One CPU is one device, and a device works through small matrix products on one core: with
``JAX_NUM_CPU_DEVICES=2`` in the environment, two cores share the batch.
"""


class TrainingState(NamedTuple):
    """All that the next step depends on.

    Parameters
    ----------
    model : equinox.Module
        The network.
    moments : tuple
        What the optimiser remembers.
    key : key
        Source of randomness of the steps to come.
    n_steps : int array, shape ()
        Steps so far.
    """

    model: Any
    moments: Any
    key: PRNGKeyArray
    n_steps: Array


def start_training(
    model: Any, optimiser: Optimiser, random_state: int | PRNGKeyArray = 0
) -> TrainingState:
    """State before the first step.

    Parameters
    ----------
    model : equinox.Module
        Its inexact arrays are the parameters.
    optimiser : Optimiser
        As given to `run_steps` later.
    random_state : int or key
        Seed of the batches.

    Returns
    -------
    TrainingState
    """
    moments = optimiser.build().init(eqx.filter(model, eqx.is_inexact_array))
    return TrainingState(model, moments, as_key(random_state), jnp.zeros((), jnp.int32))


def run_steps(
    state: TrainingState,
    objective: Objective,
    optimiser: Optimiser,
    n_steps: int,
    data: tuple = (),
) -> tuple[TrainingState, Metrics]:
    """Take training steps in one compiled scan.

    Parameters
    ----------
    state : TrainingState
        From `start_training` or an earlier call.
    objective : Objective
        What is minimised.
    optimiser : Optimiser
        How.
    n_steps : int
        Number of steps.
    data : tuple of arrays
        Passed on to the objective.

    Returns
    -------
    state : TrainingState
        After the last step.
    metrics : dict of arrays, shape (n_steps, ...)
        ``"loss"`` and the objective's own, each before the step's update.
    """
    devices = jax.devices()
    share = None
    if len(devices) > 1 and hasattr(objective, "share"):
        share = objective.share(len(devices))
    if share is None:
        return _scan_steps(state, data, objective, optimiser, n_steps)
    # Placed before the call, so that the first one compiles the same program as the next.
    everywhere = NamedSharding(Mesh(devices, (DEVICE_AXIS,)), P())
    state, data = jax.device_put((state, data), everywhere)
    return _scan_steps(state, data, share, optimiser, n_steps, everywhere.mesh)


@partial(jax.jit, static_argnames=("objective", "optimiser", "n_steps", "mesh"))
def _scan_steps(
    state: TrainingState,
    data: tuple,
    objective: Objective,
    optimiser: Optimiser,
    n_steps: int,
    mesh: Mesh | None = None,
) -> tuple[TrainingState, Metrics]:
    """Scan over steps, on one device or with the batch shared by those of a mesh."""
    if mesh is None:
        return _scan_on_device(state, data, objective, optimiser, n_steps, shared=False)
    return jax.shard_map(
        lambda state, data: _scan_on_device(
            state, data, objective, optimiser, n_steps, shared=True
        ),
        mesh=mesh,
        in_specs=(P(), P()),
        out_specs=P(),
        check_vma=False,  # loops of varying length have no rule for it
    )(state, data)


def _scan_on_device(
    state: TrainingState,
    data: tuple,
    objective: Objective,
    optimiser: Optimiser,
    n_steps: int,
    shared: bool,
) -> tuple[TrainingState, Metrics]:
    transformation = optimiser.build()
    gradient = eqx.filter_value_and_grad(objective, has_aux=True)

    def step(state: TrainingState, _: None) -> tuple[TrainingState, Metrics]:
        key, for_batch = jax.random.split(state.key)
        found = gradient(state.model, for_batch, *data)
        if shared:  # one exchange per step: everything in one vector
            flat, unravel = ravel_pytree(found)
            found = unravel(jax.lax.pmean(flat, DEVICE_AXIS))
        (loss, metrics), by_model = found
        parameters = eqx.filter(state.model, eqx.is_inexact_array)
        updates, moments = transformation.update(by_model, state.moments, parameters)
        model = eqx.apply_updates(state.model, updates)
        return TrainingState(model, moments, key, state.n_steps + 1), {"loss": loss, **metrics}

    return jax.lax.scan(step, state, length=n_steps)


class TrainingRun(NamedTuple):
    """Where a training ended.

    Parameters
    ----------
    state : TrainingState
        After the last step.
    metrics : dict of ndarray, shape (step, ...)
        ``"loss"`` and the objective's own; empty where no step was taken.
    stop_reason : str
        As `train` says.
    """

    state: TrainingState
    metrics: dict[str, np.ndarray]
    stop_reason: str


def train(
    state: TrainingState,
    objective: Objective,
    optimiser: Optimiser,
    data: tuple = (),
    *,
    n_steps: int,
    steps_per_call: int = 100,
    stop: Callable[[TrainingState, dict[str, np.ndarray]], str | None] | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = False,
) -> TrainingRun:
    """Train until a rule stops it or the steps are used up.

    A training whose loss is no longer finite is given up with a warning; what comes back,
    and stays in the checkpoint, is the state before the call in which that happened.

    Parameters
    ----------
    state : TrainingState
        From `start_training`, or from `load_training` to go on.
    objective, optimiser, data
        As in `run_steps`.
    n_steps : int
        At most so many more steps, 0 for none; a multiple of `steps_per_call` keeps it to
        one compiled program.
    steps_per_call : int
        Steps between two looks at `stop`, two checkpoints, two moves of the bar.
    stop : callable, optional
        Gets the state and the metrics of the last call; a returned string stops the
        training and becomes the `stop_reason`.  `EarlyStopping` is one.
    checkpoint : path, optional
        The state is written here before the first call and after every one.  To go on
        after an interruption give the state that `load_training` reads from it.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    TrainingRun
        Final state, metrics of every step, and the reason of the end: ``"n_steps"``
        where no rule stopped it, ``"loss not finite"``, or that of `stop`.

    Raises
    ------
    InvalidInputError
        If a number of steps is out of range, or the checkpoint is that of a longer
        training, which would be lost.

    Warns
    -----
    ConvergenceWarning
        If the loss is no longer finite.
    """
    from tqdm import tqdm

    if n_steps < 0:
        raise InvalidInputError(f"n_steps={n_steps}, but it must be at least 0")
    check_sizes(steps_per_call=steps_per_call)
    if checkpoint is not None:
        _check_no_loss(checkpoint, state)
        save_training(checkpoint, state)  # what cannot be written is found out now
    recorded: list[dict[str, np.ndarray]] = []
    reason = None
    with tqdm(total=n_steps, unit="step", disable=not progress) as bar:
        for done in range(0, n_steps, steps_per_call):
            size = min(steps_per_call, n_steps - done)
            following, metrics = run_steps(state, objective, optimiser, size, data)
            recorded.append({name: np.asarray(values) for name, values in metrics.items()})
            if not np.isfinite(recorded[-1]["loss"]).all():
                _warn_of_divergence(state, recorded[-1]["loss"], optimiser)
                reason = "loss not finite"
                break
            state = following
            bar.set_postfix(loss=f"{recorded[-1]['loss'].mean():.4g}", refresh=False)
            bar.update(size)
            if checkpoint is not None:
                save_training(checkpoint, state)
            reason = stop(state, recorded[-1]) if stop is not None else None
            if reason is not None:
                break
    names = recorded[0] if recorded else ()
    history = {name: np.concatenate([call[name] for call in recorded]) for name in names}
    return TrainingRun(state, history, reason or "n_steps")


def _warn_of_divergence(state: TrainingState, loss: np.ndarray, optimiser: Optimiser) -> None:
    first = int(np.argmin(np.isfinite(loss)))
    warnings.warn(
        f"the loss is {loss[first]} after {int(state.n_steps) + first} steps; the training ends "
        f"with the state after {int(state.n_steps)}. Lower the learning rate "
        f"({optimiser.learning_rate:g}), set clip_norm, or look for values in the data that the "
        "network does not know",
        ConvergenceWarning,
        stacklevel=3,
    )


def _check_no_loss(checkpoint: str | Path, state: TrainingState) -> None:
    """Raise rather than overwrite a longer training with a shorter one."""
    if not Path(checkpoint).is_file():
        return
    stored = read_npz(checkpoint, CONTENT).get(".n_steps", np.zeros(()))
    if stored > state.n_steps:
        raise InvalidInputError(
            f"{checkpoint} holds a training of {stored} steps and would be overwritten by one that "
            f"begins at {state.n_steps}; go on with load_training({str(checkpoint)!r}, state), or "
            "choose another file"
        )


class EarlyStopping:
    """Stop when the score on held-out data no longer rises; keep the best state.

    Parameters
    ----------
    score : callable
        Takes the model, returns a number; higher is better.
    patience : int
        So many calls in a row may pass without a better score.
    min_gain : float
        A score counts as better if it rises by more than this.

    Attributes
    ----------
    best_ : TrainingState
        State of the best score.
    scores_ : list of float
        One score per call.
    """

    def __init__(
        self, score: Callable[[Any], float], patience: int = 5, min_gain: float = 0.0
    ) -> None:
        self.score = score
        self.patience = patience
        self.min_gain = min_gain
        self.best_: TrainingState | None = None
        self.scores_: list[float] = []
        self._best_score = -np.inf
        self._calls_since = 0

    def __call__(self, state: TrainingState, metrics: dict[str, np.ndarray]) -> str | None:
        """Score the state; name the reason if it is time to stop."""
        score = float(self.score(state.model))
        self.scores_.append(score)
        if score > self._best_score + self.min_gain:
            self.best_, self._best_score, self._calls_since = state, score, 0
            return None
        self._calls_since += 1
        return "held-out score" if self._calls_since >= self.patience else None


def _named_leaves(state: TrainingState) -> dict[str, Array]:
    # A key is no plain array: its words are.
    plain = state._replace(key=jax.random.key_data(state.key))
    leaves = jax.tree_util.tree_flatten_with_path(plain)[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def save_training(path: str | Path, state: TrainingState) -> None:
    """Write a state as npz, one array per parameter; a file there is replaced whole.

    Parameters
    ----------
    path : path
        Where to.
    state : TrainingState
        Any state of a training.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_name(path.name + ".part")
    with partial_file.open("wb") as file:
        np.savez(file, allow_pickle=False, **_named_leaves(state))
    partial_file.replace(path)


def load_training(path: str | Path, like: TrainingState) -> TrainingState:
    """Read a state that `save_training` wrote.

    Parameters
    ----------
    path : path
        Where from.
    like : TrainingState
        A state of the same network and optimiser, for instance a fresh one.  Options of
        the network that are no arrays (its number of levels, whether it resets) are
        taken from it.

    Returns
    -------
    TrainingState

    Raises
    ------
    DataFileError
        If the file cannot be read, or belongs to another network or optimiser.
    """
    stored = read_npz(path, CONTENT)
    expected = _named_leaves(like)
    for name in dict.fromkeys([*expected, *stored]):
        found, wanted = (
            arrays[name].shape if name in arrays else "nothing" for arrays in (stored, expected)
        )
        if found != wanted:
            raise DataFileError(
                f"{path} holds {found} for {name}, expected {wanted}: it belongs to another "
                "network or optimiser; build the state with the options of the saved one"
            )
    plain = like._replace(key=jax.random.key_data(like.key))
    leaves = [jnp.asarray(stored[name]) for name in expected]
    state = jax.tree.unflatten(jax.tree.structure(plain), leaves)
    return state._replace(key=jax.random.wrap_key_data(state.key))
