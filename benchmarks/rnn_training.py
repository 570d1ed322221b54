"""Training steps per second: the compiled scan against a plain PyTorch loop.

    python benchmarks/rnn_training.py [--neurons 128] [--span 10]

Both train the same network (trainable timescales, multi-head N-parity up to the span)
on the same batch size, sequence length and optimiser, on all cores, in one
process; the best of several rounds counts for each.  Needs the `bench` extra.
"""

import os

# Both cores take part: torch by its thread pool, jax as two devices.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count()))

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch

from onehotglm.networks.rnn.curriculum import PUBLISHED_OPTIMISER, Curriculum
from onehotglm.networks.rnn.network import RNN, make_rnn
from onehotglm.networks.training import run_steps, start_training

N_ROUNDS = 5
BATCH_SIZE = 256


class TorchRNN(torch.nn.Module):
    """The published cell and heads as one would write them."""

    def __init__(self, network: RNN) -> None:
        super().__init__()
        cell = network.layers[0]
        for name in ("w_hh", "w_in", "b_hh", "b_in", "tau"):
            value = torch.tensor(np.array(getattr(cell, name)))
            self.register_parameter(name, torch.nn.Parameter(value))
        self.w_out = torch.nn.Parameter(torch.tensor(np.array(network.w_out)))
        self.b_out = torch.nn.Parameter(torch.tensor(np.array(network.b_out)))
        self.register_buffer("others", 1 - torch.eye(cell.n_neurons))

    def forward(self, bits: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Logits of all heads after the last bin."""
        rate = 1 / self.tau.clamp(min=1.0)
        weights = self.w_hh * self.others
        for x in bits:
            drive = torch.nn.functional.linear(h, weights, self.b_hh) + torch.nn.functional.linear(
                x[:, None], self.w_in, self.b_in
            )
            h = torch.nn.functional.leaky_relu((1 - rate) * h + rate * drive, 0.01)
        return torch.einsum("bn,hcn->hbc", h, self.w_out) + self.b_out[:, None]


def torch_steps(network: RNN, span: int, random_state: int) -> Callable[[int], int]:
    """Make a function that takes training steps and returns the bins it went through."""
    model = TorchRNN(network)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.1, nesterov=True)
    rng = np.random.default_rng(random_state)
    loss_of = torch.nn.CrossEntropyLoss()

    def run(n_steps: int) -> int:
        n_bins = 0
        for _ in range(n_steps):
            length = int(rng.integers(span + 2, 4 * span + 2))
            bits = (torch.rand(length, BATCH_SIZE) < torch.rand(BATCH_SIZE)).float()
            labels = (bits.flip(0)[:span].cumsum(0)[1:] % 2).long()
            start = 0.01 * torch.randn(BATCH_SIZE, len(model.tau))
            logits = model(bits, start)
            loss = sum(loss_of(logits[head], labels[head]) for head in range(span - 1))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimiser.step()
            n_bins += length
        return n_bins

    return run


def time_ours(network: RNN, curriculum: Curriculum, n_steps: int) -> tuple[float, list[float]]:
    """Measure the first call (with compilation; s), and steps per second of later ones."""
    span = curriculum.max_span
    state = start_training(network, PUBLISHED_OPTIMISER)
    data = (jnp.asarray(span), jnp.asarray(curriculum.asked(span)))
    times = []
    for _ in range(N_ROUNDS + 1):
        start = time.perf_counter()
        state, metrics = run_steps(
            state, curriculum.objective(span), PUBLISHED_OPTIMISER, n_steps, data
        )
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - start)
    return times[0], [n_steps / seconds for seconds in times[1:]]


def time_torch(network: RNN, span: int, n_steps: int) -> list[float]:
    """Measure steps per second, round by round."""
    run = torch_steps(network, span, random_state=0)
    run(2)
    rates = []
    for _ in range(N_ROUNDS):
        start = time.perf_counter()
        n_bins = run(n_steps)
        # A short round may draw short sequences: count steps of the mean length.
        rates.append(n_bins / (2.5 * span + 1.5) / (time.perf_counter() - start))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=128)
    parser.add_argument("--span", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200, help="of ours per round")
    options = parser.parse_args()
    curriculum = Curriculum("multi", "parity", max_span=options.span)
    network = make_rnn(options.neurons, n_heads=curriculum.n_heads)
    first, ours = time_ours(network, curriculum, options.steps)
    theirs = time_torch(network, options.span, max(options.steps // 5, 5))
    compile_time = first - options.steps / max(ours)
    print(
        f"{options.neurons} neurons, parity up to N = {options.span}, batch {BATCH_SIZE}, "
        f"lengths {options.span + 2} to {4 * options.span + 1}, float32"
    )
    print(f"cores: {torch.get_num_threads()} threads (torch), {len(jax.devices())} devices (jax)")
    print(
        f"ours:    {max(ours):7.1f} steps/s (rounds {np.round(ours, 1)}); "
        f"compiling takes {compile_time:.2f} s once"
    )
    print(f"pytorch: {max(theirs):7.1f} steps/s (rounds {np.round(theirs, 1)})")
    print(
        f"ratio of the best rounds: {max(ours) / max(theirs):.2f}; "
        f"of the medians: {np.median(ours) / np.median(theirs):.2f}"
    )


if __name__ == "__main__":
    main()
