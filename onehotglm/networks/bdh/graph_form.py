"""BDH as neurons on a graph, for small networks: no bottleneck between the neurons.

The tensor form hands features of width d from level to level.  Here only neurons speak
to neurons.  Each neuron has two potentials, linear images of the features: ``p = x D_x``
drives its activity xs, and ``v = x D_y`` is what synapses onto it learn.  With
``z = xs ys``::

    p' = alpha (p + beta z G_x),   G_x = E D_x     fixed edges from neuron to neuron
    v' = alpha (v + beta z G_y),   G_y = E D_y     fixed edges as well
    q  = S R_t xs,                 S  += v outer (R_t xs)   plastic edges (post, pre)
    ys = relu(gamma q)

E, D_x and D_y are freed of the mean over features first.  The gains alpha, beta and
gamma are what layer normalisation leaves: one number per token, or per head, which
depends on all neurons alike, as from a global inhibition.  Each is the norm of the
features, a quadratic form of the potentials.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from onehotglm.errors import InvalidInputError
from onehotglm.networks.bdh.model import BDH
from onehotglm.networks.bdh.rotary import rotate
from onehotglm.networks.layers import NORM_EPSILON


class GraphBDH(eqx.Module):
    """The same dynamics as `BDH`, on explicit edges; make one by `as_graph`.

    Neurons of all heads stand in one row, head after head; plastic edges exist inside
    each head only.

    Parameters
    ----------
    input_x, input_y : array, shape (token, neuron)
        Potentials that each token starts with.
    edges_x, edges_y : array, shape (post, pre)
        Fixed edges.
    readout : array, shape (neuron, token)
        From the potentials p to the logits.
    power_x, power_z : array, shape (neuron, neuron)
        Mean square of the features, as a form of p and of z.
    power_q : array, shape (head, neuron, neuron)
        Mean square of what a head's synapses deliver, as a form of q.
    n_levels : int
        Rounds of the dynamics per token.
    """

    input_x: Float[Array, "token neuron"]
    input_y: Float[Array, "token neuron"]
    edges_x: Float[Array, "post pre"]
    edges_y: Float[Array, "post pre"]
    readout: Float[Array, "neuron token"]
    power_x: Float[Array, "neuron neuron"]
    power_z: Float[Array, "neuron neuron"]
    power_q: Float[Array, "head neuron neuron"]
    n_levels: int = eqx.field(static=True)

    @eqx.filter_jit
    def logits(self, tokens: Int[Array, " time"]) -> Float[Array, "time token"]:
        """Logits of the token after each one of a text.

        Parameters
        ----------
        tokens : int array, shape (time)
            A text.

        Returns
        -------
        array, shape (time, token)

        Raises
        ------
        InvalidInputError
            If there are several texts.
        """
        if tokens.ndim != 1:
            raise InvalidInputError(
                f"the tokens have shape {tokens.shape}, expected (time,): the graph reads one text"
            )
        n_heads, n_neurons, _ = self.power_q.shape
        positions = jnp.arange(len(tokens))
        empty = jnp.zeros((self.n_levels, n_heads, n_neurons, n_neurons), self.edges_x.dtype)

        def token_step(synapses: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            token, position = inputs
            start = (self.input_x[token], self.input_y[token])
            (p, _), synapses = jax.lax.scan(
                lambda potentials, s: self._level(potentials, s, position), start, synapses
            )
            return synapses, p @ self.readout

        return jax.lax.scan(token_step, empty, (tokens, positions))[1]

    def _level(
        self, potentials: tuple[Array, Array], synapses: Array, position: Array
    ) -> tuple[tuple[Array, Array], Array]:
        p, v = potentials
        by_head = synapses.shape[:2]
        xs = jax.nn.relu(p)
        rotated = rotate(xs.reshape(by_head), position)
        q = jnp.einsum("hji,hi->hj", synapses, rotated)
        power = jnp.einsum("hj,hjk,hk->h", q, self.power_q, q)
        ys = jax.nn.relu(_gain(power)[:, None] * q).ravel()
        z = xs * ys
        beta = _gain(z @ self.power_z @ z)
        p_next = p + beta * (self.edges_x @ z)
        v_next = v + beta * (self.edges_y @ z)
        alpha = _gain(p_next @ self.power_x @ p_next)
        synapses = synapses + v.reshape(by_head)[:, :, None] * rotated[:, None, :]
        return (alpha * p_next, alpha * v_next), synapses


def _gain(power: Array) -> Array:
    # Rounding may leave the form of a vector near zero just below zero.
    return jax.lax.rsqrt(jnp.maximum(power, 0) + NORM_EPSILON)


def as_graph(model: BDH) -> GraphBDH:
    """Write a network as neurons on a graph.

    Parameters
    ----------
    model : BDH
        At least as many neurons per head as features; the work and memory grow with
        the square of the neurons.

    Returns
    -------
    GraphBDH

    Raises
    ------
    InvalidInputError
        If a head has fewer neurons than features: their potentials would not tell
        the features.

    Examples
    --------
    >>> from onehotglm.networks.bdh import make_bdh
    >>> graph = as_graph(make_bdh(4, n_neurons=16, n_heads=2, n_levels=2))
    >>> graph.edges_x.shape
    (16, 16)
    """
    core = model.core
    n_heads, n_neurons, n_features = core.decoder.shape
    if n_neurons < n_features:
        raise InvalidInputError(
            f"a head has {n_neurons} neurons for {n_features} features, expected at least as many; "
            "give a network with more neurons or fewer heads"
        )
    dtype = core.decoder.dtype
    centre = np.eye(n_features) - 1 / n_features
    # Double precision: the inverses below lose digits that single precision needs.
    per_head = [centre @ np.asarray(core.encoder_y[head], float) for head in range(n_heads)]
    to_x = centre @ np.concatenate(np.asarray(core.encoder_x, float), axis=1)
    to_y = np.concatenate(per_head, axis=1)
    from_z = np.asarray(core.decoder, float).reshape(-1, n_features) @ centre
    from_x = np.linalg.pinv(to_x, rcond=1e-10)
    from_q = np.stack([np.linalg.pinv(matrix, rcond=1e-10) for matrix in per_head])
    embedding = np.asarray(model.embedding, float) @ centre
    embedding /= np.sqrt((embedding**2).mean(axis=1, keepdims=True) + NORM_EPSILON)
    arrays = {
        "input_x": embedding @ to_x,
        "input_y": embedding @ to_y,
        "edges_x": (from_z @ to_x).T,
        "edges_y": (from_z @ to_y).T,
        "readout": from_x @ np.asarray(model.readout, float),
        "power_x": from_x @ from_x.T / n_features,
        "power_z": from_z @ from_z.T / n_features,
        "power_q": from_q @ from_q.swapaxes(1, 2) / n_features,
    }
    typed = {name: jnp.asarray(array, dtype) for name, array in arrays.items()}
    return GraphBDH(**typed, n_levels=core.n_levels)
