"""Loading weights in the published form."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from onehotglm.errors import DataFileError
from onehotglm.networks.bdh.core import BDHCore
from onehotglm.networks.bdh.model import BDH
from onehotglm.networks.checks import read_npz

ARRAYS = ("embed__weight", "encoder", "encoder_v", "decoder", "lm_head", "n_layer")


def neuron_order(n_neurons: int) -> np.ndarray:
    """Give the published number of each of our neurons of a head.

    The published code rotates neighbours, 2i with 2i + 1; here the pair stands half
    the neurons apart, which computers turn faster.

    Parameters
    ----------
    n_neurons : int
        Neurons of one head.

    Returns
    -------
    int ndarray, shape (n_neurons,)

    Examples
    --------
    >>> neuron_order(6)
    array([0, 2, 4, 1, 3, 5])
    """
    return np.arange(n_neurons).reshape(-1, 2).T.ravel()


def load_published(path: str | Path) -> BDH:
    """Load a network from an npz file of published weights.

    Parameters
    ----------
    path : path
        Npz file with ``embed__weight`` (token, feature), ``encoder`` and ``encoder_v``
        (head, feature, neuron), ``decoder`` (head times neuron, feature), ``lm_head``
        (feature, token) and the number of levels, ``n_layer``.

    Returns
    -------
    BDH
        With the neurons of each head in `neuron_order`.

    Raises
    ------
    DataFileError
        If the file cannot be read or lacks an array.
    """
    arrays = read_npz(path, "an npz file of weights")
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise DataFileError(f"{path} lacks {', '.join(missing)}; get the file anew")
    n_heads, n_features, n_neurons = arrays["encoder"].shape
    order = neuron_order(n_neurons)
    decoder = arrays["decoder"].reshape(n_heads, n_neurons, n_features)
    core = BDHCore(
        jnp.asarray(arrays["encoder"][:, :, order]),
        jnp.asarray(arrays["encoder_v"][:, :, order]),
        jnp.asarray(decoder[:, order]),
        int(arrays["n_layer"]),
    )
    return BDH(jnp.asarray(arrays["embed__weight"]), core, jnp.asarray(arrays["lm_head"]))
