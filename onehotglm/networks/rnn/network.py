"""A stack of layers with linear readout heads."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.checks import check_sizes
from onehotglm.networks.rnn.cell import Layer, LeakyCell, uniform
from onehotglm.networks.rnn.gated import GatedCell
from onehotglm.networks.rnn.recurrence import StackDynamics, StackState, run_to_end
from onehotglm.random_state import as_key

CELLS = ("leaky", "gru", "lstm")
LEAKS = ("inside", "outside")
N_CLASSES = 2


class RNN(eqx.Module):
    """Layers and heads.

    Parameters
    ----------
    layers : tuple of LeakyCell, GatedCell or AstroPopulation
        From the input upwards.
    w_out : array, shape (head, class, neuron)
        Readout weights of every head from the top layer's activity.
    b_out : array, shape (head, class)
        Readout biases.
    """

    layers: tuple[Layer, ...]
    w_out: Float[Array, "head class neuron"]
    b_out: Float[Array, "head class"]

    @property
    def n_heads(self) -> int:
        """Number of readout heads."""
        return self.w_out.shape[-3]

    def dynamics(self) -> StackDynamics:
        """One step of time of all layers."""
        return StackDynamics(tuple(layer.dynamics() for layer in self.layers))

    def initial_state(self, key: PRNGKeyArray, batch_size: int) -> StackState:
        """Small random activity in every layer.

        Parameters
        ----------
        key : key
        batch_size : int

        Returns
        -------
        tuple of State
            One per layer.
        """
        keys = jax.random.split(key, len(self.layers))
        return tuple(
            layer.initial_state(key, batch_size)
            for layer, key in zip(self.layers, keys, strict=True)
        )

    def activity_at_end(
        self,
        key: PRNGKeyArray,
        inputs: Float[Array, "time batch input"],
        start: Int[Array, ""],
    ) -> Float[Array, "batch neuron"]:
        """Activity of the top layer after the last bin of sequences.

        Parameters
        ----------
        key : key
            Source of the initial activity.
        inputs : array, shape (time, batch, input)
            Input of every bin.
        start : int array, shape ()
            Bin in which time begins, as in `run_to_end`.

        Returns
        -------
        array, shape (batch, neuron)
        """
        states = self.initial_state(key, inputs.shape[1])
        return run_to_end(self.dynamics(), states, inputs, start)[-1][0]

    def logits(self, activity: Float[Array, "... neuron"]) -> Float[Array, "... head class"]:
        """Each head's unnormalised log-probabilities of the two answers.

        Parameters
        ----------
        activity : array, shape (..., neuron)
            Of the top layer.

        Returns
        -------
        array, shape (..., head, class)
        """
        return jnp.einsum("...n,hcn->...hc", activity, self.w_out) + self.b_out


def make_rnn(
    n_neurons: int,
    *,
    cell: str = "leaky",
    n_layers: int = 1,
    n_heads: int = 1,
    n_inputs: int = 1,
    leak: str = "inside",
    train_tau: bool = True,
    random_state: int | PRNGKeyArray = 0,
) -> RNN:
    """Random network to start training from.

    Parameters
    ----------
    n_neurons : int
        Neurons per layer.
    cell : {"leaky", "gru", "lstm"}
        ``"leaky"``: trainable timescales, `LeakyCell`; the others are baselines.
    n_layers : int
        Layers on top of each other.
    n_heads : int
        Readout heads.
    n_inputs : int
        Input channels.
    leak : {"inside", "outside"}
        Whether the leak stands inside the nonlinearity; only for ``cell="leaky"``.
    train_tau : bool
        Whether timescales are trained; only for ``cell="leaky"``.
    random_state : int or key
        Seed of the initial parameters.

    Returns
    -------
    RNN

    Raises
    ------
    InvalidInputError
        If a size is below 1, or a name is unknown.

    Examples
    --------
    >>> network = make_rnn(16, n_heads=3, random_state=0)
    >>> network.layers[0].w_hh.shape, network.w_out.shape
    ((16, 16), (3, 2, 16))
    """
    check_sizes(n_neurons=n_neurons, n_layers=n_layers, n_heads=n_heads, n_inputs=n_inputs)
    if cell not in CELLS:
        raise InvalidInputError(f"cell={cell!r} is unknown; choose one of {', '.join(CELLS)}")
    if leak not in LEAKS:
        raise InvalidInputError(f"leak={leak!r} is unknown; choose one of {', '.join(LEAKS)}")
    if cell != "leaky" and (leak, train_tau) != ("inside", True):
        raise InvalidInputError(
            f"leak={leak!r} and train_tau={train_tau} mean nothing for cell={cell!r}: "
            "leave them at their defaults, or use cell='leaky'"
        )
    keys = jax.random.split(as_key(random_state), n_layers + 2)
    layers: list[Layer] = []
    for i in range(n_layers):
        below = n_inputs if i == 0 else n_neurons
        if cell == "leaky":
            layer = LeakyCell.init(keys[i], below, n_neurons, leak=leak, train_tau=train_tau)
            layers.append(layer)
        else:
            layers.append(GatedCell.init(keys[i], below, n_neurons, kind=cell))
    return RNN(
        tuple(layers),
        uniform(keys[-2], (n_heads, N_CLASSES, n_neurons), n_neurons),
        uniform(keys[-1], (n_heads, N_CLASSES), n_neurons),
    )
