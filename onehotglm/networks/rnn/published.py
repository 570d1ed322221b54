"""Loading networks in the published form: one npz file, several networks."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.networks.checks import read_npz
from onehotglm.networks.rnn.cell import LeakyCell
from onehotglm.networks.rnn.network import RNN

ARRAYS = ("w_hh", "b_hh", "w_in", "b_in", "w_out", "b_out", "tau", "accuracy")


CONTENT = "an npz file of networks"


def published_names(path: str | Path) -> list[str]:
    """Names of the networks in a file.

    Parameters
    ----------
    path : path
        Npz file with keys such as ``single_N2__w_hh``.

    Returns
    -------
    list of str
        For instance ``["cumulative_N2", "single_N2"]``.

    Raises
    ------
    DataFileError
        If the file cannot be read.
    """
    return _names(read_npz(path, CONTENT))


def _names(arrays: dict[str, np.ndarray]) -> list[str]:
    return sorted({key.partition("__")[0] for key in arrays if "__" in key})


def load_published(path: str | Path, name: str) -> tuple[RNN, float]:
    """Load one network and its stored accuracy.

    Parameters
    ----------
    path : path
        Npz file with keys ``NAME__ARRAY``, the arrays being `w_hh` (post, pre),
        `b_hh`, `w_in` (post, input), `b_in`, `w_out` (class, neuron), `b_out`, `tau`
        and `accuracy`.
    name : str
        One of `published_names`.

    Returns
    -------
    network : RNN
        One leaky layer with one head.
    accuracy : float
        As stored in the file.

    Raises
    ------
    DataFileError
        If the file cannot be read or lacks an array of this network.
    InvalidInputError
        If the file holds no network of this name.
    """
    stored = read_npz(path, CONTENT)
    names = _names(stored)
    if name not in names:
        raise InvalidInputError(
            f"{path} holds no network {name!r}; it holds {', '.join(names) or 'none'}"
        )
    missing = [key for key in ARRAYS if f"{name}__{key}" not in stored]
    if missing:
        raise DataFileError(f"{path} lacks {', '.join(missing)} of {name}; get the file anew")
    arrays = {key: jnp.asarray(stored[f"{name}__{key}"]) for key in ARRAYS}
    cell = LeakyCell(
        w_hh=arrays["w_hh"],
        w_in=arrays["w_in"],
        b_hh=arrays["b_hh"],
        b_in=arrays["b_in"],
        tau=arrays["tau"],
    )
    network = RNN(
        layers=(cell,),
        w_out=arrays["w_out"][None],
        b_out=arrays["b_out"][None],
    )
    return network, float(arrays["accuracy"])
