"""Train the models of text that benchmarks/language_claims.py compares, one thread.

    python benchmarks/language_runs.py --minutes 120 [--sizes 100k 300k 1m]
    python benchmarks/language_runs.py --minutes 30 --steps 400      # the first round only

BDH, a transformer in the manner of GPT-2 and AstroSNN have as many parameters and see the
same windows in the same order; the learning rate of each, at each size, is the best of the
same four values by the validation loss of seed 0 after the first round.  Larger networks
try no higher rates than the best of the size below, the largest only two.  AstroSNN also
runs without astrocytes: with as many neurons ("no_astrocyte") and with as many parameters
("lif").

Goes through the runs in order of importance, round by round: all of them take the first
number of steps, then all of them go on to the next, so that at any moment there is a
balanced table.  A killed process goes on where it was.  Each run's folder holds latest.npz,
one state per round (step_00400.npz, ...) and history.json.
"""

import os

# One thread: the runs leave the other cores alone.  Read when the backend starts.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from measuring import find_data

from onehotglm.networks.astrosnn import make_astrosnn
from onehotglm.networks.bdh import make_bdh
from onehotglm.networks.language import LanguageModel, TextObjective, cross_entropy, text_loss
from onehotglm.networks.text import Text, read_pairs, read_text, split_text
from onehotglm.networks.training import (
    Optimiser,
    TrainingState,
    load_training,
    run_steps,
    save_training,
    start_training,
)
from onehotglm.networks.transformer import make_transformer

MODELS = ("bdh", "transformer", "astrosnn")
ABLATIONS = ("no_astrocyte", "lif")
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
STEPS_PER_CALL = 100
N_PAIRS = 1000  # pairs of sentences that are held out, half of them for validation
N_TRANSLATED = 3  # sizes that learn to translate, the smallest ones


class Shape(NamedTuple):
    """Widths and neurons (per block in AstroSNN) of networks with as many parameters.

    All have four levels, layers or blocks.
    """

    bdh: tuple[int, int]
    transformer: int
    astrosnn: tuple[int, int]
    lif: tuple[int, int]


SHAPES = {
    "30k": Shape((24, 216), 20, (24, 48), (24, 74)),
    "100k": Shape((40, 616), 40, (40, 144), (40, 220)),
    "300k": Shape((64, 1440), 76, (64, 348), (64, 528)),
    "1m": Shape((96, 3304), 140, (96, 805), (96, 1218)),
}


class Task(NamedTuple):
    """A text in three parts, and the windows that are read of it."""

    train: Text
    validation: Text
    test: Text
    window: int
    batch_size: int
    pairs: bool

    def loss(self, model: LanguageModel, text: Text) -> float:
        """Nats per asked byte of a held-out part."""
        measure = pair_loss if self.pairs else text_loss
        return measure(model, text, self.window)


class Run(NamedTuple):
    """One training: who reads what."""

    task: str
    model: str
    size: str
    random_state: int
    learning_rate: float

    @property
    def name(self) -> str:
        """Folder of the run."""
        return "_".join(
            (self.task, self.model, self.size, f"{self.learning_rate:g}", str(self.random_state))
        )

    @property
    def optimiser(self) -> Optimiser:
        """How parameters are updated."""
        return Optimiser("adam", learning_rate=self.learning_rate, clip_norm=1.0)


@lru_cache
def read_task(name: str) -> Task:
    """Text of a task; every model reads the same windows."""
    if name == "shakespeare":
        train, held_out = split_text(read_text(find_data("tinyshakespeare.txt")), 0.1)
        return Task(train, *split_text(held_out, 0.5), window=128, batch_size=4, pairs=False)
    pairs = read_pairs(find_data("multi30k_en.txt.gz"), find_data("multi30k_de.txt.gz"))
    train, held_out = split_text(pairs, N_PAIRS / len(pairs.starts))
    # Most pairs of sentences are shorter than this window.
    return Task(train, *split_text(held_out, 0.5), window=192, batch_size=4, pairs=True)


def pair_loss(model: LanguageModel, text: Text, window: int, batch_size: int = 16) -> float:
    """Nats per byte of the second sentences, each pair read from an empty memory."""
    ends = np.append(text.starts[1:], len(text.tokens))
    n_batches = -(-len(text.starts) // batch_size)
    total, n_scored = 0.0, 0
    for rows in np.array_split(np.arange(n_batches * batch_size), n_batches):
        real = rows < len(text.starts)
        rows = np.minimum(rows, len(text.starts) - 1)
        places = text.starts[rows][:, None] + np.arange(window + 1)
        counted = (places < ends[rows][:, None]) & real[:, None]
        places = np.minimum(places, len(text.tokens) - 1)
        counted &= text.scored[places]
        loss = _compiled_loss(model, jnp.asarray(text.tokens[places], jnp.int32), counted)
        total += float(loss) * counted.sum()
        n_scored += counted.sum()
    return float(total / n_scored)


_compiled_loss = eqx.filter_jit(cross_entropy)


def make_model(model: str, size: str, window: int, random_state: int) -> LanguageModel:
    """Untrained model of a run."""
    shape = SHAPES[size]
    if model == "transformer":
        return make_transformer(
            shape.transformer, n_layers=4, n_heads=4, max_length=window, random_state=random_state
        )
    if model == "bdh":
        n_features, n_neurons = shape.bdh
        return make_bdh(
            n_features, n_neurons=n_neurons, n_heads=4, n_levels=4, random_state=random_state
        )
    n_features, n_neurons = shape.lif if model == "lif" else shape.astrosnn
    return make_astrosnn(
        n_features,
        n_neurons=n_neurons,
        n_blocks=4,
        astrocyte=model == "astrosnn",
        random_state=random_state,
    )


def fresh_state(run: Run) -> TrainingState:
    """State before the first step; the seed of the windows is the same for all models."""
    model = make_model(run.model, run.size, read_task(run.task).window, run.random_state)
    return start_training(model, run.optimiser, 1000 + run.random_state)


def trained_model(out: Path, run: Run, n_steps: int) -> LanguageModel:
    """Model of a run right after a round."""
    return load_training(out / run.name / f"step_{n_steps:05d}.npz", fresh_state(run)).model


def read_history(out: Path, run: Run) -> dict:
    """Mean training loss of every call, and the losses held out after every round."""
    path = out / run.name / "history.json"
    if not path.exists():
        return {"train": [], "seconds": [], "held_out": {}}
    return json.loads(path.read_text())


def train_run(run: Run, out: Path, n_steps: int, deadline: float) -> None:
    """Go on with a run up to a number of steps, unless the time is over."""
    history = read_history(out, run)
    if str(n_steps) in history["held_out"] or time.time() > deadline:
        return
    folder, task = out / run.name, read_task(run.task)
    state = fresh_state(run)
    if (folder / "latest.npz").exists():
        state = load_training(folder / "latest.npz", state)
    objective = TextObjective(task.window, task.batch_size)
    for call in range(int(state.n_steps) // STEPS_PER_CALL, n_steps // STEPS_PER_CALL):
        if time.time() > deadline:
            return
        start = time.process_time()
        state, metrics = run_steps(state, objective, run.optimiser, STEPS_PER_CALL, task.train)
        history["train"][call:] = [round(float(metrics["loss"].mean()), 5)]
        history["seconds"][call:] = [round(time.process_time() - start, 2)]
        # The state first: a history that is one call behind is overwritten above.
        save_training(folder / "latest.npz", state)
        write_history(folder, history)
    save_training(folder / f"step_{n_steps:05d}.npz", state)
    history["held_out"][str(n_steps)] = {
        part: round(task.loss(state.model, getattr(task, part)), 5)
        for part in ("validation", "test")
    }
    write_history(folder, history)
    print(run.name, n_steps, history["held_out"][str(n_steps)], flush=True)


def write_history(folder: Path, history: dict) -> None:
    """Replace the file whole."""
    partial = folder / "history.json.part"
    partial.write_text(json.dumps(history))
    partial.replace(folder / "history.json")


class Plan(NamedTuple):
    """Which runs there are."""

    out: Path
    sizes: list[str]
    steps: list[int]
    seeds: int

    @property
    def middle(self) -> str:
        """Size at which ablations are looked at."""
        return self.sizes[len(self.sizes) // 2]

    @property
    def with_synapses(self) -> str:
        """Size at which synapses are looked at: their number grows with the neurons' square."""
        return self.sizes[min(1, len(self.sizes) - 1)]

    def kinds(self) -> list[tuple[str, str]]:
        """Models and sizes that are tuned."""
        kinds = [(model, size) for size in self.sizes for model in MODELS]
        return kinds + [(model, self.middle) for model in ABLATIONS]

    def rates(self, model: str, size: str) -> tuple[float, ...]:
        """List the learning rates that are tried; none while that of the size below is open."""
        place = self.sizes.index(size)
        if place == 0:
            return RATES
        family = "astrosnn" if model in ABLATIONS else model
        below = self.best_rate(family, self.sizes[place - 1])
        allowed = RATES[: RATES.index(below) + 1] if below is not None else ()
        return allowed[-2:] if size == self.sizes[-1] else allowed

    def tuning_runs(self, model: str, size: str) -> list[Run]:
        """List the runs among which the learning rate of a model is chosen."""
        return [Run("shakespeare", model, size, 0, rate) for rate in self.rates(model, size)]

    def best_rate(self, model: str, size: str) -> float | None:
        """Learning rate of the lowest validation loss, None where not all are measured."""
        losses = {}
        for run in self.tuning_runs(model, size):
            found = read_history(self.out, run)["held_out"].get(str(self.steps[0]))
            if found is None:
                return None
            diverged = np.isnan(found["validation"])
            losses[run.learning_rate] = np.inf if diverged else found["validation"]
        return min(losses, key=losses.get) if losses else None

    def runs(self) -> Iterator[Run]:
        """Every run whose learning rate is chosen by now, the most important first."""
        seeds = range(self.seeds)
        order = [("shakespeare", *kind, seed) for seed in seeds for kind in self.kinds()]
        order += [
            ("multi30k", model, size, seed)
            for size in self.sizes[:N_TRANSLATED]
            for seed in seeds
            for model in MODELS
        ]
        for task, model, size, seed in order:
            rate = self.best_rate(model, size)
            if rate is not None:
                yield Run(task, model, size, seed, rate)


def plan_parser(description: str) -> argparse.ArgumentParser:
    """Options that say which runs belong to the plan, for all three scripts."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/language"))
    parser.add_argument("--sizes", nargs="+", choices=SHAPES, default=["30k", "100k", "300k"])
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[400, 1000, 4000], help="one number per round"
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    return parser


def plan_of(options: argparse.Namespace) -> Plan:
    """Plan that the options name."""
    return Plan(options.out, options.sizes, options.steps, options.seeds)


def round_parser(description: str) -> argparse.ArgumentParser:
    """Options of the two scripts that look at one round."""
    parser = plan_parser(description)
    parser.add_argument("--at", type=int, help="which round, in steps; default: the last")
    return parser


def round_of(options: argparse.Namespace) -> int:
    """Find after how many steps runs are looked at."""
    return options.at or options.steps[-1]


def main() -> None:
    parser = plan_parser("Train models of text.")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--only", nargs="+", default=[""], help="runs whose names contain one")
    options = parser.parse_args()
    if any(n_steps % STEPS_PER_CALL for n_steps in options.steps):
        parser.error(f"--steps takes multiples of {STEPS_PER_CALL}")
    plan, deadline = plan_of(options), time.time() + 60 * options.minutes

    def train_all(runs: Iterable[Run], n_steps: int) -> None:
        for run in runs:
            if any(part in run.name for part in options.only):
                train_run(run, plan.out, n_steps, deadline)

    for kind in plan.kinds():
        train_all(plan.tuning_runs(*kind), plan.steps[0])
    for n_steps in plan.steps:
        train_all(plan.runs(), n_steps)


if __name__ == "__main__":
    main()
