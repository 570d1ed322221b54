"""The wiring of a simulated population: types, strengths, places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onehotglm.errors import InvalidInputError

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

TYPES = ("inhibitory", "absent", "excitatory")


@dataclass(frozen=True, eq=False, repr=False)
class Connectome:
    """Who contacts whom, with what sign and how strongly.

    This is what all brain states share; `simulate_population` draws from it what each
    state makes of it.  Matrices are (post, pre): row n holds the inputs of neuron n.

    Parameters
    ----------
    kind : str
        Name of the family, for labels.
    connection_type : int array, shape (post, pre)
        -1 inhibitory, 0 absent, 1 excitatory; the most probable type where types are random.
    strength : array, shape (post, pre), or None
        Non-negative, in any unit (simulations scale it), 0 where there is no connection.
        None: the states share no strength, each draws its own (see `published_connectome`).
    neuron_ids : array, shape (neuron,), optional
        Default 0..n-1.
    shared_type_proba : array, shape (post, pre, type), optional
        Probability of each of `TYPES` in any one state. Default: the types are certain.
    position : array, shape (neuron, 2), optional
        Place on a plane, in mm.
    module : int array, shape (neuron,), optional
        Group of each neuron.
    dale : bool
        Whether every presynaptic neuron has one sign, in every state.

    Raises
    ------
    InvalidInputError
        If shapes disagree, a type is not -1, 0 or 1, a strength is negative or not finite
        or does not go with its type, or `dale` does not hold.

    See Also
    --------
    make_connectome : from a family of random graphs.
    connectome_from_edges, connectome_from_adjacency : from a table that you have.

    Examples
    --------
    >>> Connectome("pair", np.array([[0, 0], [1, 0]]), np.array([[0, 0], [0.5, 0]]))
    <Connectome 'pair': 2 neurons, 1 connection (1 excitatory, 0 inhibitory)>
    """

    kind: str
    connection_type: np.ndarray
    strength: np.ndarray | None
    neuron_ids: np.ndarray = None  # type: ignore[assignment]  # filled in below
    shared_type_proba: np.ndarray | None = None
    position: np.ndarray | None = None
    module: np.ndarray | None = None
    dale: bool = False

    def __post_init__(self) -> None:
        # A frozen dataclass sets its fields this way; from here on they are arrays.
        def put(name: str, value: object, dtype: type | None = None) -> None:
            array = None if value is None else np.asarray(value, dtype)
            object.__setattr__(self, name, array)

        put("connection_type", self.connection_type)
        put("strength", self.strength, float)
        put("shared_type_proba", self.shared_type_proba, float)
        put("position", self.position, float)
        put("module", self.module)
        put("neuron_ids", range(self.n_neurons) if self.neuron_ids is None else self.neuron_ids)
        self._check_shapes()
        self._check_values()

    def _check_shapes(self) -> None:
        n = len(self.connection_type)
        expected = {
            "connection_type": (n, n),
            "strength": (n, n),
            "neuron_ids": (n,),
            "shared_type_proba": (n, n, 3),
            "position": (n, 2),
            "module": (n,),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise InvalidInputError(
                    f"{name} has shape {array.shape}; expected {shape} for {n} neurons"
                )
        if n == 0:
            raise InvalidInputError("the connectome has no neurons; expected at least one")
        if len(set(self.neuron_ids.tolist())) < n:
            raise InvalidInputError("neuron_ids holds duplicates; give every neuron its own id")

    def _check_values(self) -> None:
        if not np.isin(self.connection_type, (-1, 0, 1)).all():
            raise InvalidInputError(
                "connection_type holds values other than -1 (inhibitory), 0 (absent) and "
                "1 (excitatory); pass signed weights to connectome_from_adjacency instead"
            )
        object.__setattr__(self, "connection_type", self.connection_type.astype(np.int8))
        if self.strength is not None:
            if not (np.isfinite(self.strength).all() and (self.strength >= 0).all()):
                raise InvalidInputError(
                    "strength must be finite and non-negative; the sign is in connection_type"
                )
            if (
                self.shared_type_proba is None
                and ((self.strength > 0) != (self.connection_type != 0)).any()
            ):
                raise InvalidInputError(
                    "strength must be positive where connection_type is not 0, and 0 elsewhere"
                )
        proba = self.shared_type_proba
        if proba is not None and not ((proba >= 0).all() and np.allclose(proba.sum(-1), 1)):
            raise InvalidInputError(
                "shared_type_proba must be non-negative and sum to one over its last axis"
            )
        if self.dale and not _one_sign_per_column(self.connection_type):
            raise InvalidInputError(
                "dale=True, but some presynaptic neuron (column) has both signs; pass dale=False"
            )

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return len(self.connection_type)

    @property
    def n_connections(self) -> int:
        """Number of connections that exist."""
        return int(np.count_nonzero(self.connection_type))

    @property
    def weights(self) -> np.ndarray:
        """Signed strengths, shape (post, pre); the types where there is no shared strength."""
        strength = 1.0 if self.strength is None else self.strength
        return self.connection_type * strength

    def __repr__(self) -> str:
        excitatory = int((self.connection_type == 1).sum())
        inhibitory = self.n_connections - excitatory
        neurons = "neuron" if self.n_neurons == 1 else "neurons"
        connections = "connection" if self.n_connections == 1 else "connections"
        return (
            f"<Connectome {self.kind!r}: {self.n_neurons} {neurons}, {self.n_connections} "
            f"{connections} ({excitatory} excitatory, {inhibitory} inhibitory)>"
        )

    def summary(self) -> pd.Series:
        """Describe the graph in a few numbers.

        Returns
        -------
        pandas.Series
            Sizes, density, signs, reciprocity (fraction of connections whose reverse
            exists), clustering (mean over neurons, directions ignored), degrees.

        Examples
        --------
        >>> from onehotglm.simulate import make_connectome
        >>> int(make_connectome("small_world", 30, n_neighbors=6).summary()["max_in_degree"])
        6
        """
        import networkx as nx
        import pandas as pd

        exists = self.connection_type != 0
        n, n_edges = self.n_neurons, max(self.n_connections, 1)
        graph = nx.Graph(self.to_networkx())
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        return pd.Series(
            {
                "n_neurons": n,
                "n_connections": self.n_connections,
                "density": self.n_connections / n**2,
                "excitatory_fraction": float((self.connection_type == 1).sum() / n_edges),
                "reciprocity": float((exists & exists.T).sum() / n_edges),
                "clustering": nx.average_clustering(graph),
                "max_in_degree": int(exists.sum(axis=1).max()),
                "max_out_degree": int(exists.sum(axis=0).max()),
                "dale": self.dale,
            },
            name=self.kind,
            dtype=object,
        )

    def to_networkx(self) -> nx.DiGraph:
        """Directed graph from pre to post.

        Returns
        -------
        networkx.DiGraph
            Nodes are the ids, with ``position`` and ``module`` where known; edges have
            ``weight`` (signed) and ``type`` (a name of `TYPES`).

        Examples
        --------
        >>> chain = Connectome("chain", np.eye(3, k=-1, dtype=int), np.eye(3, k=-1))
        >>> list(chain.to_networkx().edges)
        [(0, 1), (1, 2)]
        """
        import networkx as nx

        graph = nx.DiGraph(name=self.kind)
        ids = self.neuron_ids.tolist()
        for n, neuron in enumerate(ids):
            graph.add_node(neuron)
            if self.position is not None:
                graph.nodes[neuron]["position"] = tuple(self.position[n].tolist())
            if self.module is not None:
                graph.nodes[neuron]["module"] = int(self.module[n])
        weights = self.weights
        for pre, post in np.argwhere(self.connection_type.T):
            kind = TYPES[self.connection_type[post, pre] + 1]
            graph.add_edge(ids[pre], ids[post], weight=float(weights[post, pre]), type=kind)
        return graph


def _one_sign_per_column(connection_type: np.ndarray) -> bool:
    both = (connection_type == 1).any(axis=0) & (connection_type == -1).any(axis=0)
    return not both.any()
