"""What networks withstand: loss of neurons, and noise on weights and timescales."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.rnn.accuracy import accuracy_at_end
from onehotglm.networks.rnn.cell import LeakyCell
from onehotglm.networks.rnn.network import RNN
from onehotglm.networks.rnn.tasks import MIN_SPAN
from onehotglm.random_state import as_key

PERTURBED = ("weights", "tau")


def _leaky_layer(network: RNN) -> LeakyCell:
    layer = network.layers[0]
    if len(network.layers) > 1 or not isinstance(layer, LeakyCell):
        raise InvalidInputError(
            f"the network has {len(network.layers)} layers of {type(layer).__name__}; lesions "
            "are defined for one layer of LeakyCell: build it with make_rnn(..., cell='leaky')"
        )
    return layer


def silence(network: RNN, neurons: np.ndarray) -> RNN:
    """Take away all that neurons say to others and to the heads.

    Parameters
    ----------
    network : RNN
        One layer of leaky neurons.
    neurons : int array, shape (n,)
        Which ones.

    Returns
    -------
    RNN
        Of the same size; behaves as if the neurons were not there.

    Raises
    ------
    InvalidInputError
        If the network has several layers or gated cells.

    Examples
    --------
    >>> from onehotglm.networks.rnn.network import make_rnn
    >>> bool((silence(make_rnn(4), [2]).layers[0].w_hh[:, 2] == 0).all())
    True
    """
    speaks = np.ones(_leaky_layer(network).n_neurons, np.float32)
    speaks[np.asarray(neurons, int)] = 0
    network = eqx.tree_at(lambda n: n.layers[0].w_hh, network, replace_fn=lambda w: w * speaks)
    return eqx.tree_at(lambda n: n.w_out, network, replace_fn=lambda w: w * speaks)


def remove(network: RNN, neurons: np.ndarray) -> RNN:
    """Cut neurons out: a smaller network, which can be trained without them.

    Parameters
    ----------
    network : RNN
        One layer of leaky neurons.
    neurons : int array, shape (n,)
        Which ones.

    Returns
    -------
    RNN

    Raises
    ------
    InvalidInputError
        If the network has several layers or gated cells.
    """
    layer = _leaky_layer(network)
    kept = np.setdiff1d(np.arange(layer.n_neurons), neurons)
    smaller = jax.tree.map(lambda a: a[kept], layer)
    smaller = eqx.tree_at(lambda cell: cell.w_hh, smaller, smaller.w_hh[:, kept])
    return RNN((smaller,), network.w_out[..., kept], network.b_out)


def perturb(
    network: RNN, strength: float, *, what: str = "weights", random_state: int | PRNGKeyArray = 0
) -> RNN:
    """Add noise whose norm is a fraction of that of what it is added to.

    ``W + strength |W| E / |E|`` with Gaussian E, and the same for tau; timescales that
    fall below 1 count as 1.

    Parameters
    ----------
    network : RNN
        One layer of leaky neurons.
    strength : float
        Norm of the noise relative to that of the weights or timescales.
    what : {"weights", "tau"}
        Recurrent weights or timescales.
    random_state : int or key
        Seed of the noise.

    Returns
    -------
    RNN

    Raises
    ------
    InvalidInputError
        If `what` is unknown, or the network has several layers or gated cells.
    """
    layer = _leaky_layer(network)
    if what not in PERTURBED:
        raise InvalidInputError(f"what={what!r} is unknown; choose one of {', '.join(PERTURBED)}")
    target = layer.connectivity if what == "weights" else layer.effective_tau
    noise = jax.random.normal(as_key(random_state), target.shape)
    if what == "weights":
        noise = noise * (1 - jnp.eye(layer.n_neurons))
    noisy = target + strength * jnp.linalg.norm(target) * noise / jnp.linalg.norm(noise)
    name = "w_hh" if what == "weights" else "tau"
    return eqx.tree_at(lambda n: getattr(n.layers[0], name), network, noisy)


def _scorer(network: RNN, task: str, span: int, head: int | None) -> Callable[[RNN, int], float]:
    """Accuracy of one head on the question of one span, as a function of the network."""
    head = (0 if network.n_heads == 1 else span - MIN_SPAN) if head is None else head

    def score(network: RNN, random_state: int) -> float:
        return accuracy_at_end(network, task, span, random_state=random_state)[head, -1]

    return score


def ablation_curve(
    network: RNN,
    task: str,
    span: int,
    ranking: np.ndarray,
    sizes: np.ndarray,
    *,
    head: int | None = None,
    random_state: int = 0,
) -> xr.Dataset:
    """Accuracy after silencing the first neurons of a ranking.

    Parameters
    ----------
    network : RNN
        One layer of leaky neurons.
    task : {"parity", "dms", "recall"}
        Which question is asked.
    span : int
        N of the task.
    ranking : int array, shape (neuron,)
        Neurons in the order in which they go, for instance
        ``np.argsort(-network.layers[0].effective_tau)``.
    sizes : int array
        How many neurons go.
    head : int, optional
        Which head answers; by default the only one, or that of the span.
    random_state : int
        Seed of the test sequences.

    Returns
    -------
    Dataset
        ``accuracy`` and ``relative_accuracy`` (n_ablated); the latter is the accuracy
        above chance relative to that of the intact network.
    """
    score = _scorer(network, task, span, head)
    intact = score(network, random_state)
    accuracy = np.array([score(silence(network, ranking[:n]), random_state) for n in sizes])
    return _curve("n_ablated", np.asarray(sizes), accuracy, intact)


def perturbation_curve(
    network: RNN,
    task: str,
    span: int,
    strengths: np.ndarray,
    *,
    what: str = "weights",
    n_draws: int = 5,
    head: int | None = None,
    random_state: int = 0,
) -> xr.Dataset:
    """Accuracy under noise of growing strength, as a mean over draws of the noise.

    Parameters
    ----------
    network : RNN
        One layer of leaky neurons.
    task, span
        As in `ablation_curve`.
    strengths : array
        Relative norms of the noise, as in `perturb`.
    what : {"weights", "tau"}
        What the noise is added to.
    n_draws : int
        Draws per strength.
    head, random_state
        As in `ablation_curve`.

    Returns
    -------
    Dataset
        ``accuracy`` and ``relative_accuracy`` (strength).
    """
    score = _scorer(network, task, span, head)
    intact = score(network, random_state)

    def mean_score(strength: float) -> float:
        keys = jax.random.split(as_key(random_state), n_draws)
        noisy = [perturb(network, strength, what=what, random_state=key) for key in keys]
        return float(np.mean([score(n, random_state) for n in noisy]))

    accuracy = np.array([mean_score(float(strength)) for strength in strengths])
    return _curve("strength", np.asarray(strengths, float), accuracy, intact)


def _curve(dim: str, values: np.ndarray, accuracy: np.ndarray, intact: float) -> xr.Dataset:
    relative = (accuracy - 0.5) / (intact - 0.5)
    return xr.Dataset(
        {"accuracy": (dim, accuracy), "relative_accuracy": (dim, relative)},
        coords={dim: values},
        attrs={"intact_accuracy": float(intact)},
    )
