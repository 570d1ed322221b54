"""Make the demo recording: spikes of 20 neurons whose couplings switch with a hidden state.

    python datasets/make_demo.py [FILE]

The same numbers come out every time. It is the recording that `onehotglm demo` and
`onehotglm simulate` make by default: neurons on a plane, wired by their distance, three states,
30 sessions of 30 s. FILE (default: demo.nwb) holds the spikes, the states as a table of intervals
and the true wiring; `load_nwb(FILE, 0.02, epochs="session")` and `load_nwb_truth` read it back.
"""

import sys
from pathlib import Path

from onehotglm.io import save_nwb
from onehotglm.simulate import simulate_population


def make_demo(path: Path) -> Path:
    simulation = simulate_population(
        "distance",
        n_neurons=20,
        n_states=3,
        n_sessions=30,
        n_time_bins=1500,
        bin_size=0.02,
        mean_rate=8.0,
        dwell_time=2.0,
        random_state=0,
    )
    return save_nwb(path, simulation, description="simulated population, onehotglm demo recording")


if __name__ == "__main__":
    print(make_demo(Path(sys.argv[1] if len(sys.argv) > 1 else "demo.nwb")))
