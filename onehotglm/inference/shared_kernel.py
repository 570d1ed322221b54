"""Weights that are products: one kernel per connection for all states, a strength per state.

``weights[s,n,m,k] = strength[s,n,m] * kernel[n,m,k]``, where a kernel's absolute values over
lags sum to 1 and its values to no less than 0: a kernel of one sign makes the strength the
coupling summed over lags.  Kernels have a prior of their own, Normal(default, KERNEL_SD^2) and
smooth over lags, that rules where strengths are too small for a kernel to be seen.

Given one factor the model is a generalised linear one in the other, so steps move one factor at
a time (Ahrens, Paninski & Sahani 2008, Network 19:35).

Parameters are kept as weights, from which both factors can be read; regressions on strengths
have one column per presynaptic neuron in place of its weights, the others as they are.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float

# Of the weight of a basis function per unit of strength.
KERNEL_SD = 0.5


class SharedKernel(NamedTuple):
    """What products of strengths and kernels need.

    Attributes
    ----------
    basis : array, shape (basis, lag)
    default : array, shape (pre, basis)
        Mean of the kernels' prior, and the kernel of a connection without weights.
    smoothness : array, shape (basis, basis)
        Precision of a further prior around zero, over kernels.
    learned : bool scalar
        False holds the kernels as they are.
    """

    basis: Float[Array, "basis lag"]
    default: Float[Array, "pre basis"]
    smoothness: Float[Array, "basis basis"]
    learned: Bool[Array, ""]

    @property
    def columns(self) -> slice:
        """Columns of weights."""
        return slice(1, 1 + self.default.size)

    @property
    def strength_columns(self) -> slice:
        """Columns of strengths, where those of weights were."""
        return slice(1, 1 + len(self.default))


def default_kernel(basis: np.ndarray) -> np.ndarray:
    """Kernel (basis,) that falls off by a factor e per bin, of unit sum over lags."""
    mass = basis.sum(1)
    lag = basis @ np.arange(1, basis.shape[1] + 1) / mass
    falling = np.exp(-(lag - lag.min()))
    return falling / (falling @ mass)


def with_default_kernel(strengths: np.ndarray, kernel: SharedKernel) -> np.ndarray:
    """Coefficients of biases and strengths (state, post, strength), kernels not learned yet."""
    shape = np.broadcast_to(kernel.default, (strengths.shape[1], *kernel.default.shape))
    return np.asarray(products(jnp.asarray(strengths), jnp.asarray(shape)))


def factors(
    coefficients: Float[Array, "state post column"], kernel: SharedKernel
) -> tuple[Float[Array, "state post strength"], Float[Array, "post pre basis"]]:
    """Coefficients with strengths in place of weights, and kernels.

    Where weights are no products, the kernel is that of the state of the largest weights.
    """
    place, kernels = kernel.columns, (*coefficients.shape[:2], *kernel.default.shape)
    weights = coefficients[..., place].reshape(kernels)
    largest = (weights**2).sum(-1).argmax(0)
    direction = jnp.take_along_axis(weights, largest[None, ..., None], 0)[0]
    over_lags = direction @ kernel.basis
    mass = jnp.abs(over_lags).sum(-1, keepdims=True)
    sign = jnp.where(over_lags.sum(-1, keepdims=True) < 0, -1.0, 1.0)
    shape = jnp.where(mass > 0, sign * direction / jnp.where(mass > 0, mass, 1.0), kernel.default)
    strength = (weights * shape).sum(-1) / (shape**2).sum(-1)
    others = coefficients[..., : place.start], coefficients[..., place.stop :]
    return jnp.concatenate([others[0], strength, others[1]], -1), shape


def products(
    strengths: Float[Array, "state post strength"], shape: Float[Array, "post pre basis"]
) -> Float[Array, "state post column"]:
    """Coefficients from those with strengths in place of weights, and kernels."""
    end = 1 + shape.shape[1]
    weights = (strengths[..., 1:end, None] * shape).reshape(*strengths.shape[:2], -1)
    return jnp.concatenate([strengths[..., :1], weights, strengths[..., end:]], -1)


def on_strengths(
    gradient: Float[Array, "state post column"],
    hessian: Float[Array, "... post column column"],
    shape: Float[Array, "post pre basis"],
) -> tuple[Array, Array]:
    """Gradient and curvature with strengths in place of weights."""
    _, n_pre, n_basis = shape.shape
    unit = jnp.eye(gradient.shape[-1] - n_pre * (n_basis - 1), dtype=shape.dtype)
    map_ = jax.vmap(lambda kernels: products(unit[:, None], kernels[None])[:, 0])(shape)
    return jnp.einsum("snc,ndc->snd", gradient, map_), map_ @ hessian @ map_.swapaxes(-1, -2)


def log_prior(shape: Float[Array, "post pre basis"], kernel: SharedKernel) -> Array:
    """Log prior density of the kernels up to a constant."""
    squares = ((shape - kernel.default) ** 2).sum() / KERNEL_SD**2
    return -0.5 * (squares + ((shape @ kernel.smoothness) * shape).sum())


def kernel_step(
    gradient: Float[Array, "state post column"],
    hessian: Float[Array, "state post column column"],
    strengths: Float[Array, "state post strength"],
    shape: Float[Array, "post pre basis"],
    kernel: SharedKernel,
) -> tuple[Float[Array, "state post column"], Float[Array, " post"]]:
    """Step of the kernels at given strengths, and what each neuron gains by it.

    Kernels move in the plane that keeps the sum of their absolute values over lags, so that
    the strengths stay what they are.  Those of connections without strength stay, too.
    """
    plane = _planes(hessian, strengths, shape, kernel)
    slope = (plane.scale * gradient[..., kernel.columns]).sum(0)
    pull = (kernel.default - shape) / KERNEL_SD**2 - shape @ kernel.smoothness
    used = (strengths[..., kernel.strength_columns] != 0).any(0)[..., None]
    slope = slope + jnp.where(used, pull, 0.0).reshape(slope.shape)
    slope = jnp.einsum("nc,ncd->nd", slope, plane.directions)
    move = cho_solve(cho_factor(plane.data + plane.prior), slope[..., None])[..., 0]
    gain = 0.5 * (slope * move).sum(-1)
    weights = plane.scale * jnp.einsum("ncd,nd->nc", plane.directions, move)
    return jnp.zeros_like(gradient).at[..., kernel.columns].set(weights), gain


def effective_shapes(
    hessian: Float[Array, "state post column column"],
    strengths: Float[Array, "state post strength"],
    shape: Float[Array, "post pre basis"],
    kernel: SharedKernel,
) -> Array:
    """Effective number of parameters in the kernels: how far they follow the data."""
    plane = _planes(hessian, strengths, shape, kernel)
    follow = cho_solve(cho_factor(plane.data + plane.prior), plane.data)
    return jnp.trace(follow, axis1=-2, axis2=-1).sum()


class _Planes(NamedTuple):
    """Where the kernels of each neuron can go.

    `scale` (state, post, pre * basis) turns moves of kernels into moves of weights;
    `directions` (post, pre * basis, move) are orthonormal; curvatures of the data and of the
    prior are (post, move, move).
    """

    scale: Array
    directions: Array
    data: Array
    prior: Array


def _planes(hessian: Array, strengths: Array, shape: Array, kernel: SharedKernel) -> _Planes:
    n_neurons, n_pre, n_basis = shape.shape
    scale, place = jnp.repeat(strengths[..., kernel.strength_columns], n_basis, -1), kernel.columns
    data = (scale[..., :, None] * hessian[..., place, place] * scale[..., None, :]).sum(0)
    eye = jnp.eye(n_basis, dtype=shape.dtype)
    prior = jnp.kron(jnp.eye(n_pre), eye / KERNEL_SD**2 + kernel.smoothness)
    plane = _plane(jnp.sign(shape @ kernel.basis) @ kernel.basis.T)
    spread = plane[:, :, :, None, :] * jnp.eye(n_pre, dtype=shape.dtype)[:, None, :, None]
    spread = spread.reshape(n_neurons, n_pre * n_basis, -1)
    across = spread.swapaxes(-1, -2)
    return _Planes(scale, spread, across @ data @ spread, across @ prior @ spread)


def _plane(normal: Float[Array, "post pre basis"]) -> Float[Array, "post pre basis rest"]:
    """Orthonormal basis of what is at right angles to each vector (Householder)."""
    size = jnp.linalg.norm(normal, axis=-1, keepdims=True)
    first = jnp.eye(normal.shape[-1], dtype=normal.dtype)[0]
    mirror = normal + jnp.where(normal[..., :1] < 0, -size, size) * first
    square = jnp.maximum((mirror**2).sum(-1), jnp.finfo(normal.dtype).tiny)
    eye = jnp.eye(normal.shape[-1], dtype=normal.dtype)
    outer = mirror[..., :, None] * mirror[..., None, :] / square[..., None, None]
    return (eye - 2 * outer)[..., 1:]
