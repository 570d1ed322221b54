"""The population of AM-SUs as a generator: spikes natively, calcium as a hidden variable."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, PRNGKeyArray

from onehotglm.errors import InvalidInputError
from onehotglm.networks.astrosnn.population import AstroPopulation, make_population
from onehotglm.networks.astrosnn.unit import AMSU, AMSUState
from onehotglm.networks.base import Generator
from onehotglm.random_state import as_key, numpy_generator

N_PILOT_BINS = 1000
PILOT_SESSIONS = 4
BISECTIONS = 16
BIAS_RANGE = (-20.0, 20.0)


class AstroGenerator(Generator):
    """Spikes of a recurrent population under noise.

    The input current of every unit has Gaussian noise, independent in each bin.  Given
    the past, a unit's probability to fire is therefore known, ``Phi((u - th) / sigma)``
    with the membrane u before noise: these are the rates.  A bin holds one spike of a
    unit or none.

    Parameters
    ----------
    population : AstroPopulation, optional
        Its input channels stay silent; by default 20 random units.
    bin_size : float
        Seconds.
    mean_rate : float
        Mean over units of the rate in Hz, which sets a bias common to all.
    noise : float
        Standard deviation of the noise of a bin, sigma; thresholds are about 1.

    Attributes
    ----------
    bias : float
        Added to the bias of every unit.
    connectivity : DataArray, dims (post, pre)
        The recurrent weights.

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or no bias gives the rate.

    Examples
    --------
    >>> AstroGenerator(mean_rate=10.0).connectivity.shape
    (20, 20)
    """

    def __init__(
        self,
        population: AstroPopulation | None = None,
        *,
        bin_size: float = 0.02,
        mean_rate: float = 10.0,
        noise: float = 0.5,
    ) -> None:
        if population is None:
            population = make_population(20, 1, numpy_generator(0))
        if not isinstance(population, AstroPopulation):
            raise InvalidInputError(
                f"population is {type(population).__name__}, expected AstroPopulation: one of "
                "make_astro_population, or the first of the layers of make_astro_rnn"
            )
        self.population = population
        self.bin_size = bin_size
        self.mean_rate = mean_rate
        self.noise = noise
        if not (bin_size > 0 and mean_rate > 0 and noise > 0 and mean_rate * bin_size < 1):
            raise InvalidInputError(
                f"bin_size={bin_size}, mean_rate={mean_rate} and noise={noise} must be above 0, "
                "with less than one spike expected per bin; lower the rate or the bin size"
            )
        self.bias = self._find_bias()
        neurons = np.arange(self.population.n_neurons)
        self.connectivity = xr.DataArray(
            np.asarray(self.population.connectivity),
            dims=("post", "pre"),
            coords={"post": neurons, "pre": neurons},
        )

    def _find_bias(self) -> float:
        low, high = BIAS_RANGE
        for _ in range(BISECTIONS):
            bias = (low + high) / 2
            rates = self._run(bias, jax.random.key(0), PILOT_SESSIONS, N_PILOT_BINS)[1]
            low, high = (bias, high) if rates.mean() < self.mean_rate else (low, bias)
        if not 0.8 < rates.mean() / self.mean_rate < 1.25:
            raise InvalidInputError(
                f"the population fires at {rates.mean():.3g} Hz at a bias of {bias:.3g} and the "
                f"rate jumps there, so that no bias gives mean_rate={self.mean_rate}; weaken its "
                "recurrent weights or raise the noise"
            )
        return bias

    def _run(
        self, bias: float, key: PRNGKeyArray, n_sessions: int, n_time_bins: int
    ) -> tuple[np.ndarray, ...]:
        recorded = _fire(
            self.population.dynamics().units,
            jnp.asarray(bias, jnp.float32),
            jnp.asarray(self.noise, jnp.float32),
            key,
            n_sessions,
            n_time_bins,
        )
        spikes, proba, calcium, glia = (np.asarray(a).swapaxes(0, 1) for a in recorded)
        return spikes, proba / self.bin_size, calcium, glia

    def sample(
        self,
        n_sessions: int = 1,
        n_time_bins: int = 1000,
        random_state: int | PRNGKeyArray = 0,
    ) -> xr.Dataset:
        """Sample spikes, each session from rest.

        Parameters
        ----------
        n_sessions, n_time_bins : int
            Size of the sample.
        random_state : int or key
            Seed.

        Returns
        -------
        Dataset
            ``spikes`` (session, time, neuron; counts), ``rates`` (session, time,
            neuron; Hz), ``calcium`` and ``gliotransmission`` (session, time, neuron),
            ``connectivity`` (post, pre).
        """
        if n_sessions < 1 or n_time_bins < 1:
            raise InvalidInputError(
                f"n_sessions={n_sessions} and n_time_bins={n_time_bins} must be at least 1"
            )
        found = self._run(self.bias, as_key(random_state), n_sessions, n_time_bins)
        dims = ("session", "time", "neuron")
        about_counts = {"bin_size": self.bin_size, "units": "counts"}
        return xr.Dataset(
            {
                "spikes": (dims, found[0], about_counts),
                "rates": (dims, found[1], {"units": "Hz"}),
                "calcium": (dims, found[2]),
                "gliotransmission": (dims, found[3]),
                "connectivity": self.connectivity,
            },
            coords={
                "session": np.arange(n_sessions),
                "time": ("time", np.arange(n_time_bins) * self.bin_size, {"units": "s"}),
                "neuron": self.connectivity["post"].values,
            },
            attrs={"bin_size": self.bin_size},
        )


@eqx.filter_jit
def _fire(
    units: AMSU,
    bias: Float[Array, ""],
    noise: Float[Array, ""],
    key: PRNGKeyArray,
    n_sessions: int,
    n_time_bins: int,
) -> tuple[Array, Array, Array, Array]:
    """Spikes, their probabilities, calcium and gliotransmission, (time, session, neuron)."""
    silent = jnp.zeros((n_sessions, units.weights.shape[1] - units.n_neurons))
    noiseless = eqx.tree_at(lambda u: u.bias, units, units.bias + bias)

    def body(state: AMSUState, key: PRNGKeyArray) -> tuple[AMSUState, tuple]:
        expected = noiseless.step(state, jnp.concatenate([silent, state.spikes], axis=1))
        threshold = units.threshold(expected.calcium)
        distance = expected.membrane - threshold
        shock = noise * jax.random.normal(key, distance.shape)
        state = expected._replace(
            membrane=expected.membrane + shock, spikes=(distance + shock > 0).astype(shock.dtype)
        )
        glia = jnp.ones_like(shock)
        if units.astrocyte is not None:
            glia = units.astrocyte.gliotransmission(state.calcium)
        proba = jax.scipy.stats.norm.cdf(distance / noise)
        return state, (state.spikes, proba, state.calcium, glia)

    keys = jax.random.split(key, n_time_bins)
    recorded: tuple[Array, Array, Array, Array]
    _, recorded = jax.lax.scan(body, units.initial_state(n_sessions), keys)
    return recorded
