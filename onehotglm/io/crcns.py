"""The text format of CRCNS pfc-6: rat prefrontal cortex while rats learn rules in a Y maze.

Each session is a folder of tab-separated files without headers, times in milliseconds:
``*_SpikeData.dat`` (time, cell), ``*_Behavior.dat`` (trial start, trial end, rule, outcome,
choice, light) and ``*_Pos.dat`` (time, x, y).

References
----------
Peyrache, Khamassi, Benchenane, Wiener, Battaglia (2009), Nature Neuroscience 12, 919-926.
Peyrache, Khamassi, Benchenane, Wiener, Battaglia (2018), CRCNS.org, doi:10.6080/K0KH0KH5.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.binning import check_bin_size, make_grid
from onehotglm.io.resample import sample_columns
from onehotglm.io.spikes import bin_centres, bin_units

TRIAL_COLUMNS = ("trial_start", "trial_end", "rule", "outcome", "choice", "light")
MEANINGS = {
    "rule": {1: "right", 2: "light", 3: "left", 4: "dark"},
    "outcome": {0: "incorrect", 1: "correct"},
    "choice": {0: "right", 1: "left"},
    "light": {0: "right", 1: "left"},
}
MILLISECOND = 1e-3


def load_crcns_pfc6(
    folder: str | os.PathLike,
    bin_size: float = 0.02,
    *,
    session: str | None = None,
    window: tuple[float, float] = (-5.0, 10.0),
    n_history_bins: int = 10,
) -> xr.DataArray:
    """Read the trials of a session of CRCNS pfc-6.

    The defaults cut the recording as Li et al. (2024) did: 15 s per trial from 5 s before its
    start, in bins of 20 ms.

    Parameters
    ----------
    folder : path
        The folder of a session, for example ``data/200104``.
    bin_size : float
        Width of a bin in seconds.
    session : str, optional
        Name of the session, where the folder holds the files of several.
    window : (float, float)
        Seconds from the trial's start at which its bins start and stop.
    n_history_bins : int
        Lead-in bins before each window.

    Returns
    -------
    xarray.DataArray, dims (session, time, neuron)
        Counts of each trial; `neuron` is the cell's number in the file.  Coordinates along
        `session`: `session_start`, `trial_start` and `trial_end` (s), `rule` (``"right"``,
        ``"light"``, ``"left"``, ``"dark"``), `outcome`, `choice` and `light`.

    Raises
    ------
    DataFileError
        If a file is missing, is not of this format, or holds no spike or trial.
    """
    bin_size = check_bin_size(bin_size)
    before, after = map(float, window)
    if not before < after:
        raise InvalidInputError(f"window is {window!r}, expected two increasing times in seconds.")
    folder, name = _find_session(folder, session)
    spikes = _read_table(folder, name, "SpikeData", ("time", "cell"))
    trials = _read_table(folder, name, "Behavior", TRIAL_COLUMNS)
    cells = np.unique(spikes["cell"].to_numpy(np.int64))
    seconds = spikes["time"].to_numpy() * MILLISECOND
    trains = [seconds[(spikes["cell"] == cell).to_numpy()] for cell in cells]
    start = trials["trial_start"].to_numpy() * MILLISECOND
    grid = make_grid(start + before, start + after, bin_size)
    coords = {
        "trial_start": start,
        "trial_end": trials["trial_end"].to_numpy() * MILLISECOND,
    } | {column: _meaning(trials[column], folder, name) for column in MEANINGS}
    attrs = {"source": f"CRCNS pfc-6 {name}", "window": [before, after]}
    return bin_units(trains, cells, grid, n_history_bins, coords=coords, attrs=attrs)


def load_crcns_position(
    folder: str | os.PathLike, spikes: xr.DataArray, *, session: str | None = None
) -> xr.DataArray:
    """Read the rat's position at the centres of the spikes' bins.

    Parameters
    ----------
    folder : path
        The folder that `spikes` was read from.
    spikes : xarray.DataArray, dims (session, time, neuron)
        What `load_crcns_pfc6` returned.
    session : str, optional
        Name of the session, where the folder holds the files of several.

    Returns
    -------
    xarray.DataArray, dims (session, time, axis)
        x and y as in the file, interpolated; NaN where the rat was not tracked for 0.5 s.
    """
    folder, name = _find_session(folder, session)
    table = _read_table(folder, name, "Pos", ("time", "x", "y"))
    times = table["time"].to_numpy() * MILLISECOND
    return sample_columns(times, table[["x", "y"]].to_numpy(), bin_centres(spikes)).rename(
        "position"
    )


def _find_session(folder: str | os.PathLike, session: str | None) -> tuple[Path, str]:
    folder = Path(folder)
    names = sorted(path.name.rsplit("_", 1)[0] for path in folder.glob("*_SpikeData.*"))
    if not names:
        raise DataFileError(
            f"{folder} holds no file *_SpikeData.dat. Expected the folder of one session of CRCNS "
            "pfc-6, for example data/200104."
        )
    if session is None and len(names) > 1:
        raise DataFileError(
            f"{folder} holds several sessions; choose one with session=: {', '.join(names)}."
        )
    if session is not None and session not in names:
        raise DataFileError(f"{folder} holds no session {session!r}, but {', '.join(names)}.")
    return folder, session or names[0]


def _read_table(folder: Path, name: str, kind: str, columns: tuple[str, ...]) -> pd.DataFrame:
    found = [folder / f"{name}_{kind}{suffix}" for suffix in (".dat", ".txt")]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        raise DataFileError(f"{found[0]} does not exist; it comes with the session's other files.")
    try:
        table = pd.read_csv(path, sep=r"\s+", header=None, dtype=float)
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataFileError(
            f"{path} is no table of numbers separated by tabs ({error}). It may be cut off."
        ) from error
    if table.shape[1] != len(columns):
        raise DataFileError(
            f"{path} has {table.shape[1]} columns, expected {len(columns)}: {', '.join(columns)}."
        )
    if not np.isfinite(table.to_numpy()).all():
        raise DataFileError(f"{path} has rows with missing numbers; it may be cut off.")
    return table.set_axis(list(columns), axis=1)


def _meaning(codes: pd.Series, folder: Path, name: str) -> np.ndarray:
    meaning = MEANINGS[str(codes.name)]
    unknown = sorted(set(codes) - set(meaning))
    if unknown:
        raise DataFileError(
            f"{folder / name}_Behavior: the column {codes.name!r} holds {unknown}, expected "
            f"{', '.join(f'{code} ({text})' for code, text in meaning.items())}."
        )
    return codes.map(meaning).to_numpy(dtype=str)
