"""Throughput of BDH: our training step and generation against plain PyTorch.

    python benchmarks/language_speed.py [--features 64 --neurons 2048 --heads 4 --levels 4]

Both have the same weights, batches of random bytes, Adam and float32, and run one after
the other in one process on the same cores, in turns; the best of several rounds counts
for each.  Compiling ours is timed apart: it comes on top, once.

PyTorch trains the published form: all tokens of a sequence through a level together.
Published generation reads the whole text anew for every token.  Its time for 2,000
tokens is the sum over lengths of the time per token, measured at several lengths and
interpolated; `--full` generates every token instead, which takes minutes.  As a stronger
opponent a state form in PyTorch, which nobody published, generates as well.
With `--one-thread` both have one thread and the clock is CPU time, which a machine that
others use as well distorts less.  Needs the `bench` extra.
"""

import os
import sys

# Read when the backend starts.
if "--one-thread" in sys.argv:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
else:
    # All cores take part: torch by its thread pool, jax as so many devices.
    os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count()))

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn.functional import cross_entropy, layer_norm

from onehotglm.networks.bdh import BDH, make_bdh
from onehotglm.networks.bdh.rotary import frequencies
from onehotglm.networks.language import TextObjective, generate
from onehotglm.networks.layers import count_parameters
from onehotglm.networks.text import Text, running_text
from onehotglm.networks.training import Optimiser, run_steps, start_training

ONE_THREAD = "--one-thread" in sys.argv
N_ROUNDS = 5
RATE = 1e-3
TEMPERATURE, TOP_K = 0.8, 40


class TorchBDH(torch.nn.Module):
    """The published form for tensors, and a state form; weights from one of ours."""

    def __init__(self, model: BDH) -> None:
        super().__init__()
        core = model.core
        weights = (model.embedding, core.encoder_x, core.encoder_y, core.decoder, model.readout)
        names = ("embedding", "encoder_x", "encoder_y", "decoder", "readout")
        for name, value in zip(names, weights, strict=True):
            self.register_parameter(name, torch.nn.Parameter(torch.tensor(np.array(value))))
        speeds = frequencies(core.decoder.shape[1])
        self.register_buffer("speeds", torch.tensor(speeds, dtype=torch.float32))
        self.n_levels = core.n_levels

    def _norm(self, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, x.shape[-1:])

    def _angles(self, position: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        phase = 2 * np.pi * (position[:, None] * self.speeds % 1)
        return phase.cos(), phase.sin()

    @staticmethod
    def _rotate(x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        (cos, sin), (first, second) = angles, x.chunk(2, dim=-1)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def _leave(self, x: torch.Tensor, xs: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        """End of a level, from its input, its neurons and what attention found."""
        z = xs * torch.relu(self._norm(a) @ self.encoder_y)
        y = z.transpose(1, 2).flatten(2) @ self.decoder.flatten(0, 1)
        return self._norm(x + self._norm(y)[:, None])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (batch, time, token)."""
        angles = self._angles(torch.arange(tokens.shape[1]))
        x = self._norm(self.embedding)[tokens][:, None]
        for _ in range(self.n_levels):
            xs = torch.relu(x @ self.encoder_x)
            rotated = self._rotate(xs, angles)
            x = self._leave(x, xs, (rotated @ rotated.mT).tril(-1) @ x)
        return x[:, 0] @ self.readout

    def step(self, synapses: list[torch.Tensor], token: torch.Tensor, place: int) -> torch.Tensor:
        """Logits (1, token) after one more token; the synapses grow in place."""
        angles = self._angles(torch.tensor([place]))
        x = self._norm(self.embedding)[token][:, None]
        for level in range(self.n_levels):
            xs = torch.relu(x @ self.encoder_x)
            rotated = self._rotate(xs, angles)
            a = rotated @ synapses[level]
            synapses[level].add_(rotated.mT @ x)
            x = self._leave(x, xs, a)
        return x[:, 0, -1] @ self.readout

    def empty(self) -> list[torch.Tensor]:
        """Synapses of strength zero."""
        n_heads, n_neurons, n_features = self.decoder.shape
        return [torch.zeros(1, n_heads, n_neurons, n_features) for _ in range(self.n_levels)]


def draw_torch(logits: torch.Tensor) -> torch.Tensor:
    logits = logits / TEMPERATURE
    least = logits.topk(TOP_K).values[:, -1:]
    return torch.multinomial(logits.masked_fill(logits < least, -torch.inf).softmax(-1), 1)


def seconds(action: Callable[[], object]) -> float:
    clock = time.process_time if ONE_THREAD else time.perf_counter
    start = clock()
    action()
    return clock() - start


class OurTraining:
    """So many steps of ours at a time."""

    def __init__(self, model: BDH, text: Text, window: int, batch_size: int, n_steps: int) -> None:
        self.optimiser, self.n_steps = Optimiser("adam", learning_rate=RATE), n_steps
        self.objective = TextObjective(window, batch_size)
        self.state, self.data = start_training(model, self.optimiser), tuple(map(jnp.asarray, text))

    def __call__(self) -> None:
        """Take the steps."""
        self.state, metrics = run_steps(
            self.state, self.objective, self.optimiser, self.n_steps, self.data
        )
        jax.block_until_ready((self.state.model, metrics))


class TorchTraining:
    """So many steps of PyTorch at a time."""

    def __init__(self, model: BDH, text: Text, window: int, batch_size: int, n_steps: int) -> None:
        self.model, self.n_steps = TorchBDH(model), n_steps
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=RATE)
        self.tokens, self.shape = torch.tensor(text.tokens), (window, batch_size)

    def __call__(self) -> None:
        """Take the steps."""
        window, batch_size = self.shape
        for _ in range(self.n_steps):
            start = torch.randint(len(self.tokens) - window - 1, (batch_size,))
            windows = self.tokens[start[:, None] + torch.arange(window + 1)].long()
            loss = cross_entropy(
                self.model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten()
            )
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


def compare_training(model: BDH, text: Text, window: int, batch_size: int, n_steps: int) -> None:
    ours = OurTraining(model, text, window, batch_size, n_steps)
    theirs = TorchTraining(model, text, window, batch_size, n_steps)
    first = seconds(ours)
    theirs()
    pairs = [(seconds(ours) / n_steps, seconds(theirs) / n_steps) for _ in range(N_ROUNDS)]
    best = np.min(pairs, axis=0)
    for name, each, rounds in zip(("ours", "torch"), best, zip(*pairs, strict=True), strict=True):
        rate = batch_size * window / each
        print(
            f"training    {name:12s} {1e3 * each:8.1f} ms/step {rate:9.0f} tokens/s   "
            f"rounds (ms) {np.round(1e3 * np.array(rounds), 1)}"
        )
    medians = np.median(pairs, axis=0)
    print(f"            compiling ours takes {first - n_steps * best[0]:.2f} s once")
    print(
        f"            ours is {best[1] / best[0]:.2f} times as fast (best rounds), "
        f"{medians[1] / medians[0]:.2f} times (medians)\n"
    )


@torch.no_grad()
def read_anew(model: TorchBDH, n_tokens: int, n_lengths: int | None) -> float:
    """Seconds of published generation, measured at so many lengths (None: at all)."""
    text = torch.zeros(1, 1, dtype=torch.long)
    if n_lengths is None:

        def write(text: torch.Tensor) -> None:
            for _ in range(n_tokens):
                text = torch.cat([text, draw_torch(model(text)[:, -1])], dim=1)

        return seconds(lambda: write(text))
    lengths = np.unique(np.round(np.linspace(1, n_tokens, n_lengths)).astype(int))
    times = []
    for length in lengths:
        text = torch.randint(256, (1, int(length)))
        times.append(
            min(seconds(lambda text=text: draw_torch(model(text)[:, -1])) for _ in range(3))
        )
    return float(np.interp(np.arange(1, n_tokens + 1), lengths, times).sum())


@torch.no_grad()
def write_stepwise(model: TorchBDH, n_tokens: int) -> None:
    token, synapses = torch.zeros(1, 1, dtype=torch.long), model.empty()
    for place in range(n_tokens):
        token = draw_torch(model.step(synapses, token, place))


def compare_generation(model: BDH, n_tokens: int, n_lengths: int | None) -> None:
    theirs = TorchBDH(model)

    def ours() -> np.ndarray:
        return generate(model, b"\0", n_tokens, temperature=TEMPERATURE, top_k=TOP_K)

    first = seconds(ours)
    write_stepwise(theirs, 50)
    pairs = [(seconds(ours), seconds(lambda: write_stepwise(theirs, n_tokens))) for _ in range(3)]
    times = dict(zip(("ours", "torch, state"), np.min(pairs, axis=0), strict=True))
    times["torch, published"] = read_anew(theirs, n_tokens, n_lengths)
    for name, found in times.items():
        print(
            f"generation  {name:17s} {found:8.2f} s for {n_tokens} tokens "
            f"{n_tokens / found:9.0f} tokens/s   ours is {found / times['ours']:.1f} times as fast"
        )
    print(f"            compiling ours takes {first - times['ours']:.2f} s once")


def check_agreement(model: BDH) -> None:
    """Stop unless the two are one function."""
    tokens = np.random.default_rng(0).integers(256, size=(2, 40))
    with torch.no_grad():
        theirs = TorchBDH(model)(torch.tensor(tokens)).numpy()
    np.testing.assert_allclose(jax.jit(type(model).logits)(model, tokens), theirs, atol=1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--neurons", type=int, default=2048)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5, help="per round")
    parser.add_argument("--tokens", type=int, default=2000, help="to generate")
    parser.add_argument("--full", action="store_true", help="generate all tokens by torch")
    parser.add_argument("--only", choices=("training", "generation"))
    parser.add_argument("--one-thread", action="store_true", help="and CPU time")
    options = parser.parse_args()
    if ONE_THREAD:
        torch.set_num_threads(1)
    model = make_bdh(
        options.features,
        n_neurons=options.neurons,
        n_heads=options.heads,
        n_levels=options.levels,
    )
    check_agreement(model)
    print(
        f"BDH, {count_parameters(model)} parameters, {options.neurons} neurons in {options.heads} "
        f"heads, width {options.features}, {options.levels} levels; windows of {options.window}, "
        f"batch {options.batch}"
    )
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; "
        f"jax {jax.__version__}, {len(jax.devices())} devices; "
        f"{'CPU time' if ONE_THREAD else 'wall time'}\n"
    )
    content = np.random.default_rng(0).integers(256, size=100_000).astype(np.uint8)
    if options.only != "generation":
        text = running_text(content.tobytes())
        compare_training(model, text, options.window, options.batch, options.steps)
    if options.only != "training":
        compare_generation(model, options.tokens, None if options.full else 9)


if __name__ == "__main__":
    main()
