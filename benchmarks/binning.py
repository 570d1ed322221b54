"""Seconds and memory to read a long NWB file of many units into spike counts.

    python benchmarks/binning.py [--units 500] [--hours 2] [--rate 5] [--bin-size 0.02]

The file is generated, one Poisson train per unit, and removed afterwards.
"""

import argparse
import datetime
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, NWBFile

from onehotglm import load_nwb


def write_recording(path: Path, n_units: int, duration: float, rate: float) -> int:
    """Write Poisson trains; return the number of spikes."""
    rng = np.random.default_rng(0)
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    nwb = NWBFile("Poisson trains", "binning benchmark", start)
    n_spikes = rng.poisson(rate * duration, n_units)
    for size in n_spikes:
        nwb.add_unit(spike_times=np.sort(rng.uniform(0, duration, size)))
    nwb.add_epoch(0.0, duration, tags=["run"])
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return int(n_spikes.sum())


def peak_gib() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Write, read, check that every spike is counted once, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=5.0, help="Hz")
    parser.add_argument("--bin-size", type=float, default=0.02, help="seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.nwb"
        n_spikes = write_recording(path, options.units, 3600 * options.hours, options.rate)
        before, begin = peak_gib(), time.perf_counter()
        spikes = load_nwb(path, options.bin_size, epochs="run")
        seconds = time.perf_counter() - begin
    counted = int(spikes.sum(dtype=float))
    print(f"{options.units} units, {options.hours:g} h, {n_spikes:,} spikes in {spikes.shape} bins")
    print(f"read and binned in {seconds:.1f} s; peak memory {before:.1f} -> {peak_gib():.1f} GiB")
    if counted != n_spikes:
        raise SystemExit(f"{counted:,} spikes counted, {n_spikes:,} written")


if __name__ == "__main__":
    main()
