"""Train the networks that benchmarks/rnn_claims.py looks at, one process, one thread.

    python benchmarks/rnn_runs.py --out benchmarks/results/rnn --minutes 75

Goes through the runs in order of importance.  Every mastered span is written, so that
a killed process goes on where it was.  Each run's folder holds one state per span
(span_02.npz, ...) and stages.json.
"""

import os

# One thread: the runs leave the other cores alone.  Read when the backend starts.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onehotglm.networks.rnn.curriculum import (
    PUBLISHED_OPTIMISER,
    Curriculum,
    Stage,
    train_span,
)
from onehotglm.networks.rnn.network import RNN, make_rnn
from onehotglm.networks.rnn.tasks import MIN_SPAN
from onehotglm.networks.training import (
    Optimiser,
    TrainingState,
    load_training,
    save_training,
    start_training,
)

N_SEEDS = 3
GATED_OPTIMISER = Optimiser("adam", learning_rate=3e-3, clip_norm=2.0)


class Run(NamedTuple):
    """One training: who learns what, and for how many steps."""

    cell: str
    task: str
    kind: str
    random_state: int
    n_neurons: int
    n_steps: int
    max_span: int

    @property
    def name(self) -> str:
        """Folder of the run."""
        return f"{self.cell}_{self.task}_{self.kind}_{self.random_state}"

    @property
    def optimiser(self) -> Optimiser:
        """How parameters are updated: gated cells do not start at the published rate."""
        return PUBLISHED_OPTIMISER if self.cell == "leaky" else GATED_OPTIMISER

    @property
    def curriculum(self) -> Curriculum:
        """Which spans are asked when."""
        return Curriculum(self.kind, self.task, max_span=self.max_span)


def all_runs() -> list[Run]:
    """Every run, the most important first."""
    both = ("multi", "single")
    plans = [("leaky", task, both, 128, 20_000) for task in ("parity", "dms")]
    plans += [(cell, "parity", both, 64, 6_000) for cell in ("gru", "lstm")]
    plans += [(cell, "dms", both, 64, 6_000) for cell in ("gru", "lstm")]
    plans += [("leaky", task, ("sliding",), 128, 20_000) for task in ("parity", "dms")]
    return [
        Run(cell, task, kind, random_state, n_neurons, n_steps, max_span=40)
        for cell, task, kinds, n_neurons, n_steps in plans
        for random_state in range(N_SEEDS)
        for kind in kinds
    ]


def fresh_state(run: Run) -> TrainingState:
    network = make_rnn(
        run.n_neurons,
        cell=run.cell,
        n_heads=run.curriculum.n_heads,
        random_state=run.random_state,
    )
    return start_training(network, run.optimiser, 1000 + run.random_state)


def read_stages(folder: Path) -> list[dict]:
    path = folder / "stages.json"
    return json.loads(path.read_text()) if path.exists() else []


def is_finished(run: Run, stages: list[dict]) -> bool:
    used_up = sum(stage["n_steps"] for stage in stages) >= run.n_steps
    return used_up or (bool(stages) and stages[-1]["span"] == run.max_span)


def network_of(out: Path, run: Run, span: int) -> RNN:
    """Network of a run right after it left a span."""
    return load_training(out / run.name / f"span_{span:02d}.npz", fresh_state(run)).model


def describe(stage: Stage, seconds: float) -> dict:
    record = {
        "span": stage.span,
        "n_steps": stage.n_steps,
        "passed": stage.passed,
        "accuracy": [round(float(a), 5) for a in stage.accuracy if not np.isnan(a)],
        "seconds": round(seconds, 2),
    }
    cell = stage.network.layers[0]
    if hasattr(cell, "tau"):
        record["mean_tau"] = float(cell.effective_tau.mean())
    return record


def train_run(run: Run, out: Path, deadline: float) -> None:
    folder = out / run.name
    folder.mkdir(parents=True, exist_ok=True)
    stages = read_stages(folder)
    state = fresh_state(run)
    if stages:
        state = load_training(folder / f"span_{stages[-1]['span']:02d}.npz", state)
    for span in range(MIN_SPAN + len(stages), run.max_span + 1):
        left = run.n_steps - sum(stage["n_steps"] for stage in stages)
        if left <= 0 or time.time() > deadline:
            return
        start = time.time()
        state, stage = train_span(
            state, run.curriculum, span, n_steps=left, optimiser=run.optimiser
        )
        save_training(folder / f"span_{span:02d}.npz", state)
        stages.append(describe(stage, time.time() - start))
        (folder / "stages.json").write_text(json.dumps(stages, indent=1))
        print(run.name, stages[-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rnn"))
    parser.add_argument("--minutes", type=float, default=75.0)
    parser.add_argument("--only", default="", help="runs whose name contains this")
    options = parser.parse_args()
    deadline = time.time() + 60 * options.minutes
    for run in all_runs():
        if options.only in run.name:
            train_run(run, options.out, deadline)


if __name__ == "__main__":
    main()
