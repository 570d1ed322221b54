"""What position and speed add to a real recording, and what is left for hidden states to say.

    python benchmarks/position.py --out results/position.csv

Rat CA1 on a maze (wmaze.nwb), blocks and units as in `recording.py`.  Position enters by
Gaussian bumps around `--bumps` places (k-means of the training positions), speed by its
logarithm.  Held-out bits per spike are over the training data's mean rates; `gain` is the
difference to the fit without covariates and with as many states on the same blocks, paired,
with an interval of 95 % from resampling blocks.
"""

import argparse
from pathlib import Path

from measuring import Stopwatch, Table, find_data, use_threads
from recording import read

N_LAGS = 5
WIDTH = 30.0  # pixels: neighbouring bumps overlap
CHOICES = {
    "none": ((), "per_state"),
    "speed": (("speed",), "per_state"),
    "position": (("place",), "per_state"),
    "both": (("place", "speed"), "per_state"),
    "both, shared": (("place", "speed"), "shared"),
}


def behaviour(path: Path, spikes):
    """Position (session, time, axis) and speed at the bins of the spikes, gaps filled."""
    import numpy as np

    from onehotglm.io import load_series

    position = load_series(path, "position", spikes, max_gap=2.0)
    position = position.interpolate_na("time", fill_value="extrapolate")
    speed = np.hypot(*(position.differentiate("time").isel(axis=axis) for axis in (0, 1)))
    return position, speed.rolling(time=25, center=True, min_periods=1).mean()


def places(position, n_bumps: int):
    """Centres (bump, axis) that cover where the animal was."""
    from sklearn.cluster import KMeans

    visited = position.values.reshape(-1, 2)[::10]
    return KMeans(n_bumps, n_init=3, random_state=0).fit(visited).cluster_centers_


def make_covariates(position, speed, centres):
    """Bumps around the centres and the speed, as (session, time, covariate)."""
    import numpy as np
    import xarray as xr

    away = ((position.values[:, :, None] - centres) ** 2).sum(-1)
    columns = [np.exp(-away / (2 * WIDTH**2)), np.log(speed.values + 1.0)[..., None]]
    names = [*(f"place_{number}" for number in range(len(centres))), "speed"]
    coords = {name: position[name] for name in ("session", "time")} | {"covariate": names}
    return xr.DataArray(np.concatenate(columns, axis=2), coords, ("session", "time", "covariate"))


class Beside:
    """A model that finds the covariates of the sessions that it scores."""

    def __init__(self, model, covariates):
        self.model, self.covariates = model, covariates

    def score(self, spikes) -> float:
        """Bits per spike."""
        if self.covariates is None:
            return self.model.score(spikes)
        beside = self.covariates.sel(session=spikes["session"])
        return self.model.score(spikes, covariates=beside)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--states", type=int, nargs="+", default=[1, 3, 5])
    parser.add_argument("--bumps", type=int, default=12, help="places that position is read from")
    parser.add_argument("--n-init", type=int, default=3)
    parser.add_argument("--threads", type=int, help="cores to use; default: all")
    parser.add_argument("--out", type=Path, help="table (CSV)")
    args = parser.parse_args()
    use_threads(args.threads)
    from onehotglm import OneHotHMMGLM
    from onehotglm.evaluation import block_interval

    path = find_data("wmaze.nwb")
    train, test = read(path, N_LAGS)
    series = [behaviour(path, spikes) for spikes in (train, test)]
    centres = places(series[0][0], args.bumps)
    known = [make_covariates(*found, centres) for found in series]
    table = Table(args.out)
    for n_states in args.states:
        baseline = None
        for name, (kinds, effect) in CHOICES.items():
            chosen = [column.startswith(kinds) for column in known[0]["covariate"].values]
            given = [x.isel(covariate=chosen) if any(chosen) else None for x in known]
            with Stopwatch() as watch:
                model = OneHotHMMGLM(
                    n_states=n_states,
                    prior="gaussian",
                    n_lags=N_LAGS,
                    covariate_effect=effect,
                    n_init=args.n_init,
                    progress=False,
                ).fit(train, covariates=given[0])
            scored = Beside(model, given[1])
            baseline = baseline or scored
            bits = scored.score(test)
            low, high = block_interval(scored, test, minus=baseline)
            table.add(
                {
                    "n_states": n_states,
                    "covariates": name,
                    "bits_per_spike": bits,
                    "gain": bits - baseline.score(test),
                    "gain_low": low,
                    "gain_high": high,
                    "training": Beside(model, given[0]).score(train),
                    "n_parameters": model.n_parameters_,
                    "stopped_by": model.stop_reason_,
                    "wall_s": watch.wall,
                }
            )


if __name__ == "__main__":
    main()
