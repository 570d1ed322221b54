"""Do astrocytes help to remember?  Accuracy against delay, with and without them.

    python benchmarks/astrosnn_memory.py --out DIR [--minutes 45]    # trains, then the table
    python benchmarks/astrosnn_memory.py --out DIR --minutes 0       # the table only
    python benchmarks/astrosnn_memory.py --out DIR --only recall --seeds 0    # some

Three recurrent populations learn each task at each delay, each from its own start, with
the same steps and batches: AM-SUs, the same number of units without astrocytes, and more
leaky integrate-and-fire units without astrocytes, so that they have as many parameters as
the AM-SUs.  Two tasks: delayed recall of 4 bits under background spikes, and N-DMS on a
stream of bits.  Membranes start fast (2 to 10 bins) or as slow as calcium does (up to
twice the delay): the second asks whether astrocytes give anything but a slow variable.
Learning rates are tuned for each of these alike at the middle delay, on another seed.

One process, one thread.  Every finished run is a file, a run that was cut off goes on
from its last checkpoint.  `--minutes` is CPU time.
"""

import os

# One thread: the runs leave the other cores alone.  Read when the backend starts.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy import stats

from onehotglm.networks.astrosnn.memory import (
    DelayedRecall,
    make_memory_network,
    recall_accuracy,
    size_without_astrocytes,
)
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.rnn.accuracy import accuracy_at_end
from onehotglm.networks.rnn.curriculum import TaskObjective
from onehotglm.networks.rnn.network import RNN
from onehotglm.networks.training import (
    Optimiser,
    TrainingState,
    load_training,
    start_training,
    train,
)

VARIANTS = {
    "amsu": "AM-SU",
    "no_astrocyte": "no astrocyte",
    "lif": "LIF, same parameters",
}
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
    state: TrainingState = start_training(network, run.optimiser, 1000 + run.random_state)
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


class Interval(NamedTuple):
    """Mean over seeds and its 95 % interval (Student's t)."""

    mean: float
    half: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half:.3f} (n={self.n})"


def interval(values: list[float]) -> Interval:
    n = len(values)
    if not n:
        return Interval(np.nan, np.inf, 0)
    half = stats.t.ppf(0.975, n - 1) * stats.sem(values) if n > 1 else np.inf
    return Interval(float(np.mean(values)), float(half), n)


class Results:
    """Accuracies of the final runs, by seed."""

    def __init__(self, out: Path) -> None:
        self.found = read(out)
        self.final = {run: record for run, record in self.found.items() if run.random_state < 100}

    def accuracies(
        self, task: str, variant: str, membranes: str, delay: int, name: str = "accuracy"
    ) -> dict[int, float]:
        """One number per seed."""
        key = (task, variant, membranes, delay)
        return {run.random_state: r[name] for run, r in self.final.items() if run[:4] == key}

    def gain(self, task: str, other: str, membranes: str, delay: int) -> Interval:
        """AM-SU minus another variant, seed by seed."""
        ours = self.accuracies(task, "amsu", membranes, delay)
        theirs = self.accuracies(task, other, membranes, delay)
        return interval([ours[seed] - theirs[seed] for seed in ours if seed in theirs])


def verdict(gain: Interval) -> str:
    if gain.mean - gain.half > 0:
        return "holds"
    return "does not hold" if gain.mean + gain.half < 0 else "undecided here"


def print_tables(results: Results) -> None:
    print("\ntask    membranes  delay  " + "  ".join(f"{v:>24}" for v in VARIANTS.values()), end="")
    print("  AM-SU, astrocytes cut off")
    for task, membranes in product(DELAYS, MEMBRANES):
        for delay in DELAYS[task]:
            cells = [(task, variant, membranes, delay) for variant in VARIANTS]
            found = [list(results.accuracies(*cell).values()) for cell in cells]
            if not all(found):
                continue
            cut = results.accuracies(*cells[0], "accuracy_without_effect").values()
            row = "  ".join(f"{interval(values)!s:>24}" for values in found)
            print(f"{task:7s} {membranes:9s} {delay:6d}  {row}  {interval(list(cut))}")
    print("\nclaim: AM-SU remembers better than ...  (difference of accuracies, paired by seed)")
    for task, membranes, other in product(DELAYS, MEMBRANES, list(VARIANTS)[1:]):
        for delay in DELAYS[task]:
            gain = results.gain(task, other, membranes, delay)
            if gain.n < 2:
                continue
            print(
                f"{task:7s} {membranes:5s} delay {delay:4d}  {VARIANTS[other]:22s} "
                f"{gain.mean:+.3f} ± {gain.half:.3f} (n={gain.n})  {verdict(gain)}"
            )


def draw(results: Results, path: Path) -> None:
    import matplotlib.pyplot as plt

    from onehotglm.plots.style import FAINT, finish, state_colors, style

    titles = {"recall": "Delayed recall of 4 bits", "dms": "N-DMS on a stream of bits"}
    with plt.rc_context(style()):
        figure, axes = plt.subplots(2, 2, figsize=(7.4, 5.4), layout="constrained", sharey=True)
        for (task, membranes), ax in zip(product(DELAYS, MEMBRANES), axes.flat, strict=True):
            ax.axhline(0.5, color=FAINT, linewidth=0.8, zorder=0)
            for i, (variant, label) in enumerate(VARIANTS.items()):
                found = [
                    (delay, interval(list(values.values())))
                    for delay in DELAYS[task]
                    if (values := results.accuracies(task, variant, membranes, delay))
                ]
                # Side by side, so that intervals can be told apart.
                places = np.array([delay for delay, _ in found]) * 1.03 ** (i - 1)
                ax.errorbar(
                    places,
                    [found.mean for _, found in found],
                    [found.half for _, found in found],
                    color=state_colors(4)[(2, 3, 0)[i]],
                    marker="o",
                    markersize=3.5,
                    capsize=2,
                    label=label,
                )
            ax.set(xscale="log", ylim=(0.4, 1.03))
            ax.set_xticks(DELAYS[task], [str(delay) for delay in DELAYS[task]])
            ax.xaxis.minorticks_off()
            finish(ax, title=f"{titles[task]}, {membranes} membranes", xlabel="Delay (bins)")
        for ax in axes[:, 0]:
            ax.set_ylabel("Accuracy")
        axes[0, 1].legend(loc="lower left")
        figure.savefig(path, dpi=150)
    print(f"figure: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/memory"))
    parser.add_argument("--minutes", type=float, default=45.0, help="CPU time for training")
    parser.add_argument("--only", choices=tuple(DELAYS), help="train for this task")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(N_SEEDS))
    options = parser.parse_args()
    (options.out / "checkpoints").mkdir(parents=True, exist_ok=True)
    tasks = [options.only] if options.only else list(DELAYS)
    train_all(options.out, tasks, options.seeds, options.minutes)
    results = Results(options.out)
    for task, variant, membranes in product(DELAYS, VARIANTS, MEMBRANES):
        if all(run in results.found for run in tuning_runs(task)):
            rate = best_rate(results.found, task, variant, membranes)
            print(f"tuned learning rate: {task} {variant} {membranes} {rate}")
    if results.final:
        print_tables(results)
        draw(results, options.out / "astrosnn_memory.png")


if __name__ == "__main__":
    main()
