"""Measure the models of text that benchmarks/language_runs.py trained, one JSON per run.

    python benchmarks/language_measures.py [--sizes ...] [--steps ...] [--at STEPS]

For every model: the held-out loss by how much of the window has been read, a sample, and
the share of its words that the training text knows.  For BDH also, beside the network
before training: active neurons per level, the graph of the neurons at two densities, and
how selective single synapses are for a speaker's name and for a word.  The options are
those of the training, as they name the runs; of its rounds the last one is measured, or that
of `--at`.
"""

import json
import re
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import xarray as xr
from language_runs import (
    Plan,
    Run,
    Task,
    fresh_state,
    plan_of,
    read_history,
    read_task,
    round_of,
    round_parser,
    trained_model,
)
from scipy import stats

from onehotglm.networks.bdh import (
    BDH,
    Synapse,
    graph_statistics,
    mark_concept,
    mark_last_letter,
    neuron_graph,
    strongest_edges,
    synapse_growth,
    synapse_selectivity,
)
from onehotglm.networks.language import LanguageModel, generate
from onehotglm.networks.text import Text

EDGES_PER_NEURON = (4, 16)
N_NULL = 5
CONCEPTS = {"speaker": "PETRUCHIO", "word": " with"}
STRETCH = 8192  # bytes: one to choose synapses from, the next to judge them by
LEVEL = 2  # of 0 to 3; at level 0 activity depends on the last byte alone
N_SHUFFLES = 19
N_PARTS = 4  # of the window
N_SAMPLES = 32
PROMPTS = {
    "shakespeare": b"\nROMEO:\n",
    "multi30k": b"A man is riding a bicycle.\t",
}
WORD = re.compile(rb"[A-Za-z]+(?:'[a-z]+)?")


def windows_of(text: Text, window: int) -> np.ndarray:
    """Windows that do not overlap, (window, place)."""
    n_windows = (len(text.tokens) - 1) // window
    places = np.arange(n_windows)[:, None] * window + np.arange(window + 1)
    return text.tokens[places].astype(np.int32)


def loss_by_place(model: LanguageModel, task: Task) -> list[float]:
    """Nats per byte in each part of the window: how much the bytes before it help."""
    total = np.zeros(task.window)
    windows = windows_of(task.test, task.window)
    for batch in np.array_split(windows, -(-len(windows) // 32)):
        logits = np.asarray(model.logits(jnp.asarray(batch[:, :-1])), float)
        chosen = np.take_along_axis(logits, batch[:, 1:, None], axis=-1)[..., 0]
        total += (np.logaddexp.reduce(logits, axis=-1) - chosen).sum(axis=0)
    return (total / len(windows)).reshape(N_PARTS, -1).mean(axis=1).tolist()


def write(model: LanguageModel, task_name: str, task: Task) -> tuple[str, float]:
    """One sample, and the share of the words in many that the training text knows."""
    prompt = np.tile(np.frombuffer(PROMPTS[task_name], np.uint8), (N_SAMPLES, 1))
    # As long as the transformer's learned positions allow.
    n_tokens = task.window - prompt.shape[1]
    written = generate(model, prompt, n_tokens, temperature=0.8).astype(np.uint8)
    return bytes(written[0]).decode(errors="replace"), known_words(written, task.train)


def known_words(written: np.ndarray, text: Text) -> float:
    """Share of words of at least three letters that occur in a text."""
    known = set(WORD.findall(bytes(text.tokens)))
    # The last word of a sample may be cut off.
    words = [word for row in written for word in WORD.findall(bytes(row))[:-1] if len(word) > 2]
    return sum(word in known for word in words) / max(len(words), 1)


def scrambled_words(task: Task) -> float:
    """Share of known words in bytes that are drawn as often as in the text, without order."""
    rng = np.random.default_rng(0)
    return known_words(rng.choice(task.train.tokens, (N_SAMPLES, task.window)), task.train)


def active_share(model: BDH, task: Task) -> dict[str, list[float]]:
    """Share of active neurons per level: x alone, and the output x y."""
    _, neurons = model.activity(jnp.asarray(windows_of(task.test, task.window)[:32, :-1]))
    active = {"x": neurons.x > 0, "output": (neurons.x > 0) & (neurons.y > 0)}
    return {name: np.asarray(a).mean(axis=(1, 2, 3, 4)).tolist() for name, a in active.items()}


def graph_measures(model: BDH) -> dict[int, dict[str, float]]:
    """Modularity and degree tail of the strongest edges, by edges per neuron."""
    graph = neuron_graph(model)
    found = {}
    for density in EDGES_PER_NEURON:
        kept = strongest_edges(graph, density * model.n_neurons)
        measured = graph_statistics(kept, n_null=N_NULL)
        degrees = (measured["degree_in"] + measured["degree_out"]).values
        found[density] = {
            "modularity": float(measured["modularity"]),
            "null_modularity": float(measured["null_modularity"].mean()),
            "tail_ratio": float(measured["log_likelihood_ratio"]),
            "tail_exponent": float(measured["exponent"]),
            "largest_over_mean_degree": float(degrees.max() / degrees.mean()),
        }
    return found


def most_selective(heads: list[xr.Dataset]) -> tuple[Synapse, xr.Dataset]:
    """Most selective synapse of all heads, and what was found in its head."""
    head = int(np.argmax([found["selectivity"].max() for found in heads]))
    found = heads[head]
    return Synapse(LEVEL, head, int(found["best_post"]), int(found["best_pre"])), found


def ranked_above(values: np.ndarray, labels: np.ndarray, others: np.ndarray) -> float:
    """Probability that a labelled value is above another one (area under the ROC curve)."""
    n_pairs = labels.sum() * others.sum()
    return float(stats.mannwhitneyu(values[labels], values[others]).statistic / n_pairs)


def concept_measures(model: BDH, task: Task, concept: str) -> dict[str, float]:
    """How selective the best synapse of all heads is, and whether that holds in new text.

    In the new text growth at the end of the word is compared with that at all other
    tokens, and with that at the same letter in other words: a synapse for the letter
    alone scores 1/2 there.  Chosen by the second comparison, another synapse is the best.
    """
    known, new = (bytes(task.validation.tokens[k * STRETCH :][:STRETCH]) for k in (0, 1))
    same_letter = mark_last_letter(known, concept)

    def all_heads(others: np.ndarray | None, n_shuffles: int) -> list[xr.Dataset]:
        labels = mark_concept(known, concept)
        options = {"level": LEVEL, "others": others, "n_shuffles": n_shuffles}
        return [
            synapse_selectivity(model, known, labels, head=head, **options)
            for head in range(len(model.core.decoder))
        ]

    heads = all_heads(None, N_SHUFFLES)
    best, found = most_selective(heads)
    chosen = {"": best, "_contrast": most_selective(all_heads(same_letter, 0))[0]}
    labels, same_letter = mark_concept(new, concept), mark_last_letter(new, concept)
    measured = {
        "largest_t": float(found["selectivity"].max()),
        "shuffled_largest_t": float(np.mean([head["shuffled_maximum"].mean() for head in heads])),
        "p_value": float(found["p_value"]),
    }
    growth = synapse_growth(model, new, list(chosen.values())).values
    for name, values in zip(chosen, growth, strict=True):
        measured[f"new_text{name}"] = ranked_above(values, labels, ~labels)
        measured[f"new_text_same_letter{name}"] = ranked_above(values, labels, same_letter)
    return measured


def measure_bdh(model: BDH, task: Task, synapses: bool) -> dict:
    """Everything that only BDH is asked."""
    found = {"active": active_share(model, task), "graph": graph_measures(model)}
    if synapses:
        found["concepts"] = {
            name: concept_measures(model, task, concept) for name, concept in CONCEPTS.items()
        }
    return found


def measure_run(run: Run, plan: Plan, n_steps: int) -> dict:
    """Measures of one run after one round."""
    task, model = read_task(run.task), trained_model(plan.out, run, n_steps)
    found: dict = {"run": run._asdict()}
    found["sample"], found["known_words"] = write(model, run.task, task)
    if run.task != "shakespeare":
        return found
    found["loss_by_place"] = loss_by_place(model, task)
    found["scrambled_words"] = scrambled_words(task)
    if isinstance(model, BDH):
        synapses = run.size == plan.with_synapses
        found["trained"] = measure_bdh(model, task, synapses)
        found["untrained"] = measure_bdh(fresh_state(run).model, task, synapses)
    return found


def measures_path(out: Path, run: Run, n_steps: int) -> Path:
    """Where the measures of a run are kept."""
    return out / run.name / f"measures_{n_steps:05d}.json"


def main() -> None:
    options = round_parser("Measure models of text.").parse_args()
    plan, n_steps = plan_of(options), round_of(options)
    for run in plan.runs():
        path = measures_path(plan.out, run, n_steps)
        finished = str(n_steps) in read_history(plan.out, run)["held_out"]
        if path.exists() or not finished:
            continue
        start = time.time()
        path.write_text(json.dumps(measure_run(run, plan, n_steps), indent=1))
        print(f"{run.name}, {n_steps} steps: {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
