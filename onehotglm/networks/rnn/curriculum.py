"""Training on memory tasks of growing span N.

Three curricula say which questions are asked while the span grows:

- ``"single"``: only the span N itself; one head answers, and goes on to N+1.
- ``"multi"``: all spans 2..N at once, each with its own head; N+1 adds a head.
- ``"sliding"``: the last `window` spans up to N, each with its own head.

N grows as soon as every head that is asked answers more than `threshold` right.

The published files say that one head is carried through the single-head curriculum:
the softmax's gradient leaves the sum of a head's two rows alone, and that sum is the
same in the stored networks at N = 2, 6 and 10.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.accuracy import room_for
from onehotglm.networks.rnn.cell import LeakyCell
from onehotglm.networks.rnn.network import RNN, make_rnn
from onehotglm.networks.rnn.tasks import MIN_SPAN, check_task, draw_batch
from onehotglm.networks.shared_batch import DEVICE_AXIS, SharedBatch
from onehotglm.networks.training import (
    Metrics,
    Optimiser,
    TrainingState,
    start_training,
    train,
)

CURRICULA = ("single", "multi", "sliding")

PUBLISHED_OPTIMISER = Optimiser("sgd", learning_rate=0.05, momentum=0.1, clip_norm=2.0)
"""Plain gradient descent with Nesterov momentum, as published."""


@dataclass(frozen=True)
class TaskObjective(SharedBatch):
    """Cross-entropy at the last bin, summed over the heads that are asked.

    Parameters
    ----------
    task : {"parity", "dms", "recall"}
        Which question is asked.
    shared_head : bool
        Whether one head answers for the current span, whatever that is; otherwise
        head i answers for the span i + 2.
    max_span : int
        Span that the arrays have room for.
    batch_size : int
        Sequences per step.
    readout_only : bool
        Whether gradients reach the heads only, not the layers.
    shared : bool
        Whether this is one device's part of a batch, as `share` makes it.
    """

    task: str
    shared_head: bool
    max_span: int
    batch_size: int
    readout_only: bool = False
    shared: bool = False

    def __call__(
        self,
        network: RNN,
        key: PRNGKeyArray,
        span: Int[Array, ""],
        asked: Float[Array, " head"],
    ) -> tuple[Array, Metrics]:
        """Loss and accuracy of every head on fresh sequences."""
        for_batch, for_state = jax.random.split(key)
        batch = draw_batch(
            for_batch,
            self.task,
            span,
            max_span=self.max_span,
            batch_size=self.batch_size,
            part=jax.lax.axis_index(DEVICE_AXIS) if self.shared else None,
        )
        for_state = self.key_of_device(for_state)
        activity = network.activity_at_end(for_state, batch.inputs, batch.start)
        if self.readout_only:
            activity = jax.lax.stop_gradient(activity)
        log_proba = jax.nn.log_softmax(network.logits(activity), axis=-1)
        labels = self._labels_of_heads(batch.labels, span, network.n_heads).T
        loss = -jnp.take_along_axis(log_proba, labels[..., None], axis=-1)[..., 0].mean(axis=0)
        right = (log_proba.argmax(axis=-1) == labels).mean(axis=0)
        return jnp.sum(asked * loss), {"accuracy": right}

    def _labels_of_heads(self, labels: Array, span: Array, n_heads: int) -> Array:
        if self.shared_head:
            return jax.lax.dynamic_slice_in_dim(labels, span - MIN_SPAN, 1)
        missing = max(n_heads - len(labels), 0)  # heads of larger spans, not asked yet
        return jnp.pad(labels, ((0, missing), (0, 0)))[:n_heads]


@dataclass(frozen=True)
class Curriculum:
    """Which spans are asked when, and when the span grows.

    Parameters
    ----------
    kind : {"single", "multi", "sliding"}
        See the module's head.
    task : {"parity", "dms", "recall"}
        Which question is asked.
    max_span : int
        The curriculum ends when this span is mastered.
    window : int
        Number of spans asked at once by ``"sliding"``.
    threshold : float
        Accuracy that every asked head must pass.
    batch_size : int
        Sequences per step.
    readout_only : bool
        Whether only the heads are trained, on the layers as they are.

    Raises
    ------
    InvalidInputError
        If a name is unknown or a number is out of range.
    """

    kind: str = "multi"
    task: str = "parity"
    max_span: int = 10
    window: int = 5
    threshold: float = 0.98
    batch_size: int = 256
    readout_only: bool = False

    def __post_init__(self) -> None:
        check_task(self.task)
        if self.kind not in CURRICULA:
            raise InvalidInputError(
                f"kind={self.kind!r} is unknown; choose one of {', '.join(CURRICULA)}"
            )
        if self.max_span < MIN_SPAN:
            raise InvalidInputError(
                f"max_span={self.max_span}, but the tasks begin at span {MIN_SPAN}"
            )
        if self.window < 1 or self.batch_size < 1:
            raise InvalidInputError(
                f"window={self.window} and batch_size={self.batch_size} must be at least 1"
            )
        if not 0 < self.threshold < 1:
            raise InvalidInputError(
                f"threshold={self.threshold}, but an accuracy between 0 and 1 is expected"
            )

    @property
    def n_heads(self) -> int:
        """Heads that a network needs."""
        return 1 if self.kind == "single" else self.max_span - MIN_SPAN + 1

    def asked(self, span: int) -> np.ndarray:
        """Which heads are asked at a span.

        Parameters
        ----------
        span : int

        Returns
        -------
        ndarray, shape (head,)
            Ones and zeros.
        """
        if self.kind == "single":
            return np.ones(1, np.float32)
        spans = np.arange(MIN_SPAN, self.max_span + 1)
        first = span - self.window + 1 if self.kind == "sliding" else MIN_SPAN
        return ((spans >= first) & (spans <= span)).astype(np.float32)

    def objective(self, span: int) -> TaskObjective:
        """Loss of a span; spans that share their arrays' sizes share the compiled program.

        Parameters
        ----------
        span : int

        Returns
        -------
        TaskObjective
        """
        room = room_for(span)
        shared_head = self.kind == "single"
        return TaskObjective(self.task, shared_head, room, self.batch_size, self.readout_only)


class Stage(NamedTuple):
    """One span of a curriculum."""

    span: int
    n_steps: int  # taken for this span
    passed: bool
    accuracy: np.ndarray  # (head,), of the last call; nan where not asked
    network: RNN


class CurriculumRun(NamedTuple):
    """What a curriculum led to."""

    state: TrainingState
    stages: list[Stage]

    @property
    def network(self) -> RNN:
        """The network at the end."""
        return self.state.model

    @property
    def span(self) -> int:
        """Largest span that was mastered; 1 if none was."""
        return max((stage.span for stage in self.stages if stage.passed), default=MIN_SPAN - 1)

    def to_dataset(self) -> xr.Dataset:
        """Course of the training.

        Returns
        -------
        Dataset
            ``n_steps`` taken for each span and whether it was ``passed`` (span),
            ``accuracy`` (span, head), nan where a head was not asked, and ``mean_tau``
            (span) of the top layer where its neurons have timescales.
        """
        variables = {
            "n_steps": ("span", [stage.n_steps for stage in self.stages]),
            "passed": ("span", [stage.passed for stage in self.stages]),
            "accuracy": (("span", "head"), np.stack([stage.accuracy for stage in self.stages])),
        }
        tops = [stage.network.layers[-1] for stage in self.stages]
        mean_tau = [float(top.effective_tau.mean()) for top in tops if isinstance(top, LeakyCell)]
        if mean_tau:
            variables["mean_tau"] = ("span", mean_tau)
        return xr.Dataset(variables, coords={"span": [stage.span for stage in self.stages]})


def train_span(
    state: TrainingState,
    curriculum: Curriculum,
    span: int,
    *,
    n_steps: int,
    steps_per_call: int = 100,
    optimiser: Optimiser = PUBLISHED_OPTIMISER,
    progress: bool = False,
) -> tuple[TrainingState, Stage]:
    """Train on one span until it is mastered or the steps are used up.

    Parameters
    ----------
    state : TrainingState
        Of a network with `curriculum.n_heads` heads.
    curriculum : Curriculum
        Which heads are asked.
    span : int
        N of the task.
    n_steps, steps_per_call
        As in `train`; the accuracy is judged over all steps of a call.
    optimiser : Optimiser
        How parameters are updated.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    state : TrainingState
    stage : Stage
    """
    asked = curriculum.asked(span)

    def stop(_: TrainingState, metrics: dict[str, np.ndarray]) -> str | None:
        accuracy = metrics["accuracy"].mean(axis=0)[asked > 0]
        return "mastered" if accuracy.min() > curriculum.threshold else None

    run = train(
        state,
        curriculum.objective(span),
        optimiser,
        (jnp.asarray(span), jnp.asarray(asked)),
        n_steps=n_steps,
        steps_per_call=steps_per_call,
        stop=stop,
        progress=progress,
    )
    accuracy = run.metrics["accuracy"][-steps_per_call:].mean(axis=0)
    stage = Stage(
        span,
        len(run.metrics["loss"]),
        run.stop_reason == "mastered",
        np.where(asked > 0, accuracy, np.nan),
        run.state.model,
    )
    return run.state, stage


def run_curriculum(
    network: RNN | int,
    curriculum: Curriculum,
    *,
    n_steps: int,
    steps_per_call: int = 100,
    optimiser: Optimiser = PUBLISHED_OPTIMISER,
    random_state: int = 0,
    progress: bool = False,
) -> CurriculumRun:
    """Train a network on growing spans, from 2 to `curriculum.max_span`.

    Parameters
    ----------
    network : RNN or int
        The network to train, with `curriculum.n_heads` heads; or the number of neurons
        of a fresh leaky one.
    curriculum : Curriculum
        Which spans are asked when.
    n_steps : int
        Steps for all spans together.
    steps_per_call, optimiser
        As in `train_span`.
    random_state : int
        Seed of the sequences, and of a fresh network.
    progress : bool
        As in `train_span`.

    Returns
    -------
    CurriculumRun

    Raises
    ------
    InvalidInputError
        If the network has another number of heads.

    Examples
    --------
    >>> curriculum = Curriculum("multi", "parity", max_span=3)
    >>> run = run_curriculum(32, curriculum, n_steps=2000)
    >>> run.span, [stage.span for stage in run.stages]
    (3, [2, 3])
    """
    if isinstance(network, int):
        network = make_rnn(network, n_heads=curriculum.n_heads, random_state=random_state)
    if network.n_heads != curriculum.n_heads:
        raise InvalidInputError(
            f"the network has {network.n_heads} heads, but this curriculum asks "
            f"{curriculum.n_heads}: build it with make_rnn(..., n_heads=curriculum.n_heads)"
        )
    state = start_training(network, optimiser, random_state)
    stages: list[Stage] = []
    for span in range(MIN_SPAN, curriculum.max_span + 1):
        left = n_steps - sum(stage.n_steps for stage in stages)
        if left <= 0:
            break
        state, stage = train_span(
            state,
            curriculum,
            span,
            n_steps=left,
            steps_per_call=steps_per_call,
            optimiser=optimiser,
            progress=progress,
        )
        stages.append(stage)
        if not stage.passed:
            break
    return CurriculumRun(state, stages)
