"""What one more token costs, and what is kept in memory, as the text grows.

    python benchmarks/generation_cost.py [--out FOLDER]

BDH and AstroSNN carry a state of one size.  The transformer, with about as many
parameters apart from its learned positions, keeps keys and values of all tokens in a
cache that grows by blocks of 256 places: a step looks at the filled blocks only.

Latency is one call of the compiled step for one text, from token in to logits out, after
a text of so many tokens has been read.  Models and positions take turns; the median over
all calls of a round is taken, then the median over rounds.  Tokens per second are those of
`generate`, compiled, 2,000 tokens from one prompt; its cache has all places from the start.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from onehotglm.networks.astrosnn import make_astrosnn
from onehotglm.networks.bdh import make_bdh
from onehotglm.networks.language import LanguageModel, generate
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.transformer import Cache, Transformer, make_transformer

POSITIONS = (10, 100, 1000, 10_000)
BLOCK = 256
N_ROUNDS, N_CALLS = 12, 40
N_TOKENS = 2000
MAX_LENGTH = 10_240


def make_models() -> dict[str, LanguageModel]:
    return {
        "BDH": make_bdh(64, n_neurons=2048, n_heads=4, n_levels=4),
        "AstroSNN": make_astrosnn(64, n_neurons=512, n_blocks=4),
        "transformer": make_transformer(92, n_layers=4, n_heads=4, max_length=MAX_LENGTH),
    }


def n_places(position: int) -> int:
    """Places of a cache that has room for one more token, in whole blocks."""
    return BLOCK * -(-(position + 1) // BLOCK)


@eqx.filter_jit
def read(model: LanguageModel, state: Any, tokens: jax.Array) -> Any:
    """State after a text."""
    return jax.lax.scan(lambda state, t: (model.step(state, t[None])[0], None), state, tokens)[0]


def states_of(model: LanguageModel) -> dict[int, Any]:
    """States that texts of so many tokens leave."""
    rng = np.random.default_rng(1)
    states, state, so_far = {}, model.initial_state(1, n_places(0)), 0
    for position in POSITIONS:
        if isinstance(model, Transformer):
            # What the cache holds does not change the time; reading would take minutes.
            empty = model.initial_state(1, n_places(position))
            keys, values = (jnp.asarray(rng.standard_normal(x.shape), x.dtype) for x in empty[:2])
            state = Cache(keys, values, jnp.asarray(position, jnp.int32))
        else:
            tokens = rng.integers(256, size=position - so_far)
            state, so_far = read(model, state, jnp.asarray(tokens, jnp.int32)), position
        states[position] = state
    return states


def bytes_of_state(model: LanguageModel, position: int) -> int:
    leaves = jax.tree.leaves(jax.eval_shape(lambda: model.initial_state(1, n_places(position))))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def compiled_step(model: LanguageModel) -> Callable[[Any, jax.Array], tuple[Any, jax.Array]]:
    """Make the step a compiled function that may write where its state was."""
    arrays, static = eqx.partition(model, eqx.is_array)
    step = jax.jit(lambda arrays, *args: eqx.combine(arrays, static).step(*args), donate_argnums=1)
    return partial(step, arrays)


class Stepper:
    """Steps of a model from one state on, timed one by one."""

    def __init__(self, step: Callable[..., tuple[Any, jax.Array]], state: Any) -> None:
        self.step, self.token = step, jnp.zeros(1, jnp.int32)
        self.state = jax.tree.map(jnp.copy, state)  # steps give their state away
        self.run()

    def run(self) -> float:
        """Median seconds of a call."""
        times = []
        for _ in range(N_CALLS):
            start = time.perf_counter()
            self.state, logits = self.step(self.state, self.token)
            jax.block_until_ready((self.state, logits))
            times.append(time.perf_counter() - start)
        if isinstance(self.state, Cache):  # back to the place that is measured
            self.state = self.state._replace(position=self.state.position - N_CALLS)
        return float(np.median(times))


def measure_latency(models: dict[str, LanguageModel]) -> dict[tuple[str, int], np.ndarray]:
    """Seconds per token, round by round."""
    steppers = {}
    for name, model in models.items():
        step = compiled_step(model)
        for position, state in states_of(model).items():
            steppers[name, position] = Stepper(step, state)
    rounds = [{key: one.run() for key, one in steppers.items()} for _ in range(N_ROUNDS)]
    return {key: np.array([one[key] for one in rounds]) for key in steppers}


def measure_rate(model: LanguageModel) -> float:
    """Tokens per second of generation, compiled."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        generate(model, "a", N_TOKENS, temperature=0.8, top_k=40)
        times.append(time.perf_counter() - start)
    return N_TOKENS / min(times)


def print_table(
    models: dict[str, LanguageModel], latency: dict[tuple[str, int], np.ndarray]
) -> None:
    first, last = POSITIONS[0], POSITIONS[-1]
    print("model        position  latency (us)  [quartiles of rounds]  state (bytes)")
    for (name, position), rounds in latency.items():
        low, middle, high = 1e6 * np.percentile(rounds, [25, 50, 75])
        print(
            f"{name:12s} {position:8d}  {middle:12.1f}  [{low:.1f}, {high:.1f}]"
            f"{bytes_of_state(models[name], position):20d}"
        )
    print(f"\nmodel        parameters  position {last} / {first}  [95 % interval]  tokens/s")
    rng = np.random.default_rng(0)
    for name, model in models.items():
        ratios = latency[name, last] / latency[name, first]
        draws = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
        low, high = np.percentile(draws, [2.5, 97.5])
        n_parameters = count_parameters(model)
        if isinstance(model, Transformer):
            n_parameters -= model.positions.size
        print(
            f"{name:12s} {n_parameters:10d}  {np.median(ratios):19.3f}  [{low:.3f}, {high:.3f}]"
            f"  {measure_rate(model):14.0f}"
        )


def draw(
    latency: dict[tuple[str, int], np.ndarray], models: dict[str, LanguageModel], path: Path
) -> None:
    import matplotlib.pyplot as plt

    from onehotglm.plots.style import finish, state_colors, style

    lengths = np.unique(np.round(np.geomspace(10, 10_000, 300)).astype(int))
    with plt.rc_context(style()):
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.0), layout="constrained")
        colors = np.array(state_colors(4))[[0, 2, 3]]
        for (name, model), color in zip(models.items(), colors, strict=True):
            times = np.array([1e3 * latency[name, position] for position in POSITIONS])
            low, middle, high = np.percentile(times, [25, 50, 75], axis=1)
            left.plot(POSITIONS, middle, "o-", color=color, markersize=3.5, label=name)
            left.fill_between(POSITIONS, low, high, color=color, alpha=0.2, linewidth=0)
            kept = [bytes_of_state(model, n) for n in lengths]
            right.plot(lengths, np.array(kept) / 1e6, color=color, label=name)
        for ax, ticks in ((left, (0.3, 1, 3)), (right, (0.1, 1, 10))):
            ax.set(xscale="log", yscale="log")
            ax.set_yticks(ticks, list(map(str, ticks)))
            ax.yaxis.set_minor_formatter("")
            finish(ax, xlabel="Tokens so far")
        finish(left, ylabel="Latency per token (ms)", title="Time")
        finish(right, ylabel="State (MB)", title="Memory")
        left.legend()
        figure.savefig(path, dpi=150)
    print(f"figure: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    models = make_models()
    latency = measure_latency(models)
    print_table(models, latency)
    draw(latency, models, options.out / "generation_cost.png")


if __name__ == "__main__":
    main()
