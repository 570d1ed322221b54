"""Read the synapses of BDH while it reads a text.

A small network learns sentences about animals in a maze, letter by letter. Its working
memory is a set of synapses that grow by Hebb's rule. The script looks for the synapse
that grows most when an animal has just been named, and follows it through a text the
network has never seen. Synapses turn with time, each at its own speed: of those that
keep their sign while a text is read, the one that stands out most is chosen.

    python examples/bdh_synapses.py [--out FOLDER] [--steps 200] [--text FILE --concept WORD]

Is it a synapse for the animal, or for the last letter of its name? The second question
is asked with the same letter in other words.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from onehotglm.networks.bdh import (
    BDH,
    Synapse,
    make_bdh,
    mark_concept,
    mark_last_letter,
    synapse_growth,
    synapse_selectivity,
    synapse_strength,
)
from onehotglm.networks.bdh.rotary import frequencies
from onehotglm.networks.language import TextObjective, generate, text_loss
from onehotglm.networks.text import Text, read_text, running_text, split_text
from onehotglm.networks.training import Optimiser, start_training, train
from onehotglm.plots.style import ACCENT, MUTED, finish, style
from onehotglm.plots.text import plot_text_strength

ANIMALS = ("rat", "mouse", "finch", "ferret")
PLACES = ("the light", "the water", "a corner", "the nest", "the other arm")
ACTIONS = ("runs to", "waits at", "turns to", "looks at", "sleeps near")
LEVEL = 1  # at level 0 activity depends on the last letter alone
WINDOW = 64
N_SHOWN = 128  # letters


def write_sentences(n_sentences: int, random_state: int = 0) -> str:
    """Sentences of a small grammar."""
    rng = np.random.default_rng(random_state)
    sentences = []
    for _ in range(n_sentences):
        animal, action, place = (rng.choice(words) for words in (ANIMALS, ACTIONS, PLACES))
        sentences.append(f"the {animal} {action} {place}.")
    return " ".join(sentences)


def learn(text: Text, n_steps: int) -> BDH:
    optimiser = Optimiser("adam", learning_rate=1e-2, clip_norm=1.0)
    state = start_training(make_bdh(24, n_neurons=256, n_heads=2, n_levels=3), optimiser)
    objective = TextObjective(WINDOW, batch_size=8)
    return train(state, objective, optimiser, text, n_steps=n_steps, progress=True).state.model


def find_synapse(
    model: BDH, text: np.ndarray, concept: str, others: np.ndarray | None = None
) -> tuple[Synapse, xr.Dataset]:
    """Find the steady synapse that is most selective for the moments when a concept is named."""
    labels = mark_concept(bytes(text), concept)
    n_heads, n_neurons, _ = model.core.decoder.shape
    steady = N_SHOWN * np.tile(frequencies(n_neurons), 2) < 0.25  # turns of each sender
    candidates = []
    for head in range(n_heads):
        options = {"level": LEVEL, "head": head, "others": others, "n_shuffles": 50}
        found = synapse_selectivity(model, text, labels, **options)
        t = found["selectivity"].values[:, steady]
        post, pre = np.unravel_index(t.argmax(), t.shape)
        synapse = Synapse(LEVEL, head, int(post), int(np.flatnonzero(steady)[pre]))
        candidates.append((t.max(), synapse, found))
    return max(candidates, key=lambda candidate: candidate[0])[1:]


def growth_where(growth: xr.DataArray, concept: str) -> dict[str, np.ndarray]:
    """Growth of a synapse at a word, at its last letter elsewhere, and at all other letters."""
    codes = growth["code"].values
    labels = mark_concept(bytes(codes), concept)
    same_letter = mark_last_letter(bytes(codes), concept)
    return {
        f'after "{concept}"': growth.values[labels],
        f'after "{concept[-1]}" elsewhere': growth.values[same_letter],
        "at other letters": growth.values[~labels & ~same_letter],
    }


def draw(
    model: BDH, text: np.ndarray, synapse: Synapse, found: xr.Dataset, concept: str, path: Path
) -> None:
    strength, growth = (
        read(model, text, [synapse]).isel(synapse=0) for read in (synapse_strength, synapse_growth)
    )
    rng = np.random.default_rng(0)
    with plt.rc_context(style()):
        figure, panels = plt.subplot_mosaic(
            [["strength", "strength"], ["growth", "growth"], ["new", "chance"]],
            figsize=(7.4, 4.6),
            height_ratios=(1, 1, 2.4),
            layout="constrained",
        )
        title = "Strength of one synapse while a text is read"
        shown = {"token": slice(0, N_SHOWN)}
        plot_text_strength(strength[shown], ax=panels["strength"], title=title)
        title = "How much it grows at each letter"
        plot_text_strength(growth[shown], ax=panels["growth"], label="growth", title=title)
        groups = growth_where(growth, concept)
        for place, values in enumerate(groups.values()):
            spread = place + rng.uniform(-0.2, 0.2, len(values))
            panels["new"].plot(values, spread, ".", color=ACCENT, alpha=0.4, markersize=4)
        panels["new"].set_yticks(range(len(groups)), list(groups))
        panels["new"].set_ylim(len(groups) - 0.5, -0.5)
        finish(panels["new"], xlabel="growth at a letter", title="Is it the word or the letter?")
        panels["chance"].hist(found["shuffled_maximum"], bins=12, color=MUTED, label="by chance")
        panels["chance"].axvline(t_of(synapse, found), color=ACCENT, label=f'"{concept}"')
        panels["chance"].legend()
        finish(
            panels["chance"],
            xlabel="largest t of all synapses",
            ylabel="shifts",
            title="Against shifted labels",
        )
        figure.savefig(path, dpi=150)
    print(f"figure: {path}")


def report(others: str, synapse: Synapse, found: xr.Dataset) -> None:
    n_larger = int((found["shuffled_maximum"] >= t_of(synapse, found)).sum())
    print(
        f"against {others}: {synapse}, t = {t_of(synapse, found):.0f}; by chance as large in "
        f"{n_larger} of {found.sizes['shuffle']} shifts"
    )


def t_of(synapse: Synapse, found: xr.Dataset) -> float:
    return float(found["selectivity"].sel(post=synapse.post, pre=synapse.pre))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--text", type=Path, help="learn this text instead of the sentences")
    parser.add_argument("--concept", default=ANIMALS[0], help="a word of the text")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    text = read_text(options.text) if options.text else running_text(write_sentences(3000))
    known, new = split_text(text)
    model = learn(known, options.steps)
    print(f"{text_loss(model, new, WINDOW):.3f} nats per letter of new text")
    print(bytes(generate(model, known.tokens[None, :4], 80)[0].astype("uint8")).decode())
    text = known.tokens[:2048]
    same_letter = mark_last_letter(bytes(text), options.concept)
    report(
        "the same letter in other words", *find_synapse(model, text, options.concept, same_letter)
    )
    synapse, found = find_synapse(model, text, options.concept)
    report("all other letters", synapse, found)
    path = options.out / "bdh_synapses.png"
    draw(model, new.tokens[:2048], synapse, found, options.concept, path)


if __name__ == "__main__":
    main()
