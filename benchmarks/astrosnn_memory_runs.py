"""Train the networks that benchmarks/astrosnn_memory.py compares, one thread.

Every finished run is a file, a run that was cut off goes on from its last checkpoint.
"""

import os

# One thread: the runs leave the other cores alone.  Read when the backend starts.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import json
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from onehotglm.networks.astrosnn import (
    DelayedRecall,
    make_memory_network,
    recall_accuracy,
    size_without_astrocytes,
)
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.rnn.accuracy import accuracy_at_end
from onehotglm.networks.rnn.curriculum import TaskObjective
from onehotglm.networks.rnn.network import RNN
from onehotglm.networks.training import Optimiser, load_training, start_training, train

VARIANTS = ("amsu", "no_astrocyte", "lif")
MEMBRANES = ("fast", "slow")
DELAYS = {"recall": (10, 40, 100), "dms": (1, 3, 5, 7)}
TUNED_AT = {"recall": 40, "dms": 3}
N_STEPS = {"recall": 1500, "dms": 3000}
RATES = {"recall": (0.003, 0.01, 0.03), "dms": (0.001, 0.003, 0.01)}
N_SEEDS = 5
TUNING_SEED = 100
N_NEURONS = 32
DMS_MAX_SPAN = 8
STEPS_PER_CALL = 250


class Run(NamedTuple):
    """One training."""

    task: str
    variant: str
    membranes: str
    delay: int
    random_state: int
    rate: float

    @property
    def name(self) -> str:
        """File of the run."""
        return "_".join(map(str, self))

    @property
    def optimiser(self) -> Optimiser:
        """How parameters are updated."""
        return Optimiser("adam", learning_rate=self.rate, clip_norm=1.0)


def recall_task(delay: int) -> DelayedRecall:
    return DelayedRecall(max_delay=delay, min_delay=delay)


def make_network(run: Run) -> RNN:
    sizes: dict[str, Any] = {"n_inputs": 1}
    if run.task == "recall":
        task = recall_task(run.delay)
        sizes = {
            "n_inputs": task.n_inputs,
            "n_heads": task.n_items,
            "n_cue_spikes": task.n_cue_spikes,
        }
    options = {
        "random_state": run.random_state,
        "slow_membranes": run.membranes == "slow",
        **sizes,
    }
    network = make_memory_network(N_NEURONS, run.delay, **options)
    if run.variant == "amsu":
        return network
    n_neurons = size_without_astrocytes(network) if run.variant == "lif" else N_NEURONS
    return make_memory_network(n_neurons, run.delay, astrocyte=False, **options)


def objective_of(run: Run) -> tuple[Any, tuple]:
    """Get what is minimised, and its data."""
    if run.task == "recall":
        return recall_task(run.delay), ()
    objective = TaskObjective("dms", shared_head=True, max_span=DMS_MAX_SPAN, batch_size=64)
    return objective, (jnp.asarray(run.delay + 1), jnp.ones(1))


def accuracy_of(network: RNN, run: Run) -> float:
    """Accuracy on fresh trials."""
    if run.task == "recall":
        return recall_accuracy(network, recall_task(run.delay), run.delay, random_state=12345)
    right = accuracy_at_end(network, "dms", run.delay + 1, random_state=12345)
    return float(right[0, -1])


def without_effect(network: RNN) -> RNN:
    """Cut the astrocytes of a network off from synapses and thresholds."""

    def effects(network: RNN) -> tuple:
        astrocyte = network.layers[0].units.astrocyte
        return astrocyte.strength, astrocyte.coupling

    return eqx.tree_at(effects, network, tuple(jnp.zeros_like(x) for x in effects(network)))


def train_run(run: Run, out: Path) -> None:
    checkpoint = out / "checkpoints" / f"{run.name}.npz"
    network = make_network(run)
    state = start_training(network, run.optimiser, 1000 + run.random_state)
    if checkpoint.exists():
        state = load_training(checkpoint, state)
    objective, data = objective_of(run)
    start = time.process_time()
    left = N_STEPS[run.task] - int(state.n_steps)
    if left:
        state = train(
            state,
            objective,
            run.optimiser,
            data,
            n_steps=left,
            steps_per_call=STEPS_PER_CALL,
            checkpoint=checkpoint,
        ).state
    record = run._asdict() | {
        "accuracy": accuracy_of(state.model, run),
        "n_neurons": state.model.layers[0].n_neurons,
        "n_parameters": count_parameters(state.model),
        "cpu_seconds": round(time.process_time() - start, 1),
    }
    if run.variant == "amsu":
        record["accuracy_without_effect"] = accuracy_of(without_effect(state.model), run)
    (out / f"{run.name}.json").write_text(json.dumps(record, indent=1))
    print(run.name, f"{record['accuracy']:.3f}", f"{record['cpu_seconds']} s", flush=True)


def tuning_runs(task: str) -> list[Run]:
    return [
        Run(task, variant, membranes, TUNED_AT[task], TUNING_SEED, rate)
        for variant, membranes, rate in product(VARIANTS, MEMBRANES, RATES[task])
    ]


def read(out: Path) -> dict[Run, dict]:
    """Finished runs."""
    records = [json.loads(path.read_text()) for path in out.glob("*.json")]
    return {Run(*(record[name] for name in Run._fields)): record for record in records}


def best_rate(found: dict[Run, dict], task: str, variant: str, membranes: str) -> float:
    """Rate with the highest accuracy on the tuning seed."""
    tried = {
        run.rate: found[run]["accuracy"]
        for run in tuning_runs(task)
        if (run.variant, run.membranes) == (variant, membranes)
    }
    return max(tried, key=tried.__getitem__)


def final_runs(found: dict[Run, dict], task: str, random_state: int) -> list[Run]:
    return [
        Run(
            task,
            variant,
            membranes,
            delay,
            random_state,
            best_rate(found, task, variant, membranes),
        )
        for delay, membranes, variant in product(DELAYS[task], MEMBRANES, VARIANTS)
    ]


def train_all(out: Path, tasks: list[str], seeds: list[int], minutes: float) -> None:
    for task in tasks:
        for run in tuning_runs(task):
            train_unless_done(run, out, minutes)
    for random_state, task in product(seeds, tasks):
        found = read(out)
        if not all(run in found for run in tuning_runs(task)):
            return
        for run in final_runs(found, task, random_state):
            train_unless_done(run, out, minutes)


def train_unless_done(run: Run, out: Path, minutes: float) -> None:
    if time.process_time() < 60 * minutes and not (out / f"{run.name}.json").exists():
        train_run(run, out)
