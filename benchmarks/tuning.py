"""Regularisation, step size and size of the network decoders, chosen on training blocks.

    python benchmarks/tuning.py rnn astrosnn bdh --out results/tuning.csv

wmaze.nwb as in compare.py.  The held-out blocks of that comparison are never read: every fifth
training block is an inner held-out block, and early stopping looks at blocks of the rest.  All
decoders go through the same search from their defaults: learning rate, then weight decay, then
size, each kept at its best value for what follows.  `gain`, `gain_low`, `gain_high` is the
difference to the decoder's first row on the same inner blocks, paired, 95 %.
"""

import argparse
import time
from pathlib import Path

from compare import LONGEST_HISTORY
from measuring import Table, find_data, use_threads
from recording import read_blocks

TRAINING = ({"learning_rate": (1e-2, 1e-3)}, {"weight_decay": (0.0, 0.1, 0.5)})
SIZES = {
    "rnn": ({"n_hidden": 32}, {"n_hidden": 128}),
    "astrosnn": ({"n_features": 64, "n_hidden": 128}, {"n_blocks": 2}),
    "bdh": ({"n_hidden": 128}, {"n_features": 16}),
}


def candidates(name: str):
    """Yield groups of changes; the best of a group stays for the next one."""
    for grid in TRAINING:
        for parameter, values in grid.items():
            yield [{parameter: value} for value in values]
    yield list(SIZES[name])


class Search:
    """Fits of one decoder on the inner blocks."""

    def __init__(self, name: str, inner, inner_test, random_state: int, table: Table):
        from onehotglm.comparison import make_decoders

        # The inner scores need no connectivity, and one lag makes it cheap.
        self.decoder = make_decoders([name], n_states=1, random_state=random_state)[name]
        self.decoder.set_params(n_lags=1)
        self.name, self.blocks, self.table = name, (inner, inner_test), table
        self.n_spikes = inner_test.where(inner_test["time"] >= 0).sum(("time", "neuron")).values
        self.first, self.tried = None, []

    def run(self) -> None:
        """Try the defaults, then every group."""
        self.try_out({})
        for group in candidates(self.name):
            start = self.best
            for changes in group:
                # The decoder's own value has been tried already.
                if not changes.items() <= self.decoder.get_params().items():
                    self.try_out(start | changes)

    @property
    def best(self) -> dict:
        """Options of the highest score."""
        return max(self.tried, key=lambda pair: pair[0])[1]

    def try_out(self, options: dict) -> None:
        """Fit, score, and write the row."""
        import numpy as np
        from sklearn.base import clone

        from onehotglm.evaluation import resampled_interval

        begin = time.process_time()
        decoder = clone(self.decoder).set_params(**options).fit(self.blocks[0])
        seconds = time.process_time() - begin
        bits = decoder.log_likelihood(self.blocks[1]).values / np.log(2)
        self.first = bits if self.first is None else self.first
        gained = bits - self.first
        score = decoder.score(self.blocks[1])
        self.tried.append((score, options))
        low, high = resampled_interval(gained, self.n_spikes)
        self.table.add(
            {
                "name": self.name,
                "options": "; ".join(f"{key}={value}" for key, value in options.items()),
                "bits_per_spike": score,
                "gain": float(gained.sum() / self.n_spikes.sum()),
                "gain_low": low,
                "gain_high": high,
                "n_steps": decoder.n_steps_,
                "n_parameters": decoder.n_parameters_,
                "cpu_seconds": seconds,
            }
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="+", choices=SIZES)
    parser.add_argument("--data", type=Path, help="the recording; default: wmaze.nwb")
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="file for the table")
    args = parser.parse_args()
    use_threads(args.threads)
    from onehotglm.evaluation import hold_out

    blocks = read_blocks(args.data or find_data("wmaze.nwb"), LONGEST_HISTORY)
    inner, inner_test = hold_out(hold_out(blocks)[0])
    table = Table(args.out)
    for name in args.names:
        search = Search(name, inner, inner_test, args.random_state, table)
        search.run()
        print(f"{name}: {search.best or 'the defaults'}", flush=True)


if __name__ == "__main__":
    main()
