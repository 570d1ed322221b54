"""Connectomes that the user has: a list of edges, or a matrix of weights."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from onehotglm.errors import InvalidInputError
from onehotglm.simulate.connectome import Connectome

if TYPE_CHECKING:
    import pandas as pd

_SIGN_WORDS = {
    **dict.fromkeys(("excitatory", "exc", "e", "+"), 1),
    **dict.fromkeys(("inhibitory", "inh", "i", "-"), -1),
}


def connectome_from_edges(
    edges: "pd.DataFrame | Iterable[Sequence]",
    *,
    pre: str = "pre",
    post: str = "post",
    weight: str | None = None,
    sign: str | None = None,
    inhibitory: Collection = (),
    neuron_ids: Sequence | None = None,
    position: np.ndarray | None = None,
    kind: str = "edges",
) -> Connectome:
    """Connectome from a table with one row per connection.

    Rows of the same pair add up (a published table may list every synapse).

    Parameters
    ----------
    edges : pandas.DataFrame, or sequence of (pre, post) or (pre, post, weight)
    pre, post : str
        Columns with the ids of the neuron that sends and of the one that receives.
    weight : str, optional
        Column with strengths; their sign counts. Default: "weight" if the table has
        it, else 1 for every row.
    sign : str, optional
        Column with the sign: numbers, or "excitatory"/"exc"/"E"/"+" and
        "inhibitory"/"inh"/"I"/"-". Weights must then be non-negative. Default: "sign"
        if the table has it.
    inhibitory : collection of ids
        Neurons whose outgoing connections are all inhibitory, where the table has no
        signs; the others are excitatory.
    neuron_ids : sequence, optional
        All neurons, in the order that the simulation takes. Default: those that occur,
        sorted.
    position : array, shape (neuron, 2), optional
        In mm.
    kind : str
        Label.

    Returns
    -------
    Connectome

    Raises
    ------
    InvalidInputError
        If a column is missing, an id unknown, a weight or a sign not readable, or the
        rows of a pair disagree about the sign.

    Examples
    --------
    >>> connectome_from_edges([("AVA", "VA1", 12), ("DD1", "VA1", 5)], inhibitory=["DD1"])
    <Connectome 'edges': 3 neurons, 2 connections (1 excitatory, 1 inhibitory)>
    """
    import pandas as pd

    if not isinstance(edges, pd.DataFrame):
        edges = _frame_from_rows(edges)
        pre, post = "pre", "post"
    weight = "weight" if weight is None and "weight" in edges else weight
    sign = "sign" if sign is None and "sign" in edges else sign
    missing = [name for name in (pre, post, weight, sign) if name and name not in edges]
    if missing:
        raise InvalidInputError(
            f"the table of edges has no column {', '.join(missing)}; it has "
            f"{', '.join(map(str, edges.columns))}"
        )
    if not len(edges):
        raise InvalidInputError("the table of edges is empty; expected a row per connection")
    signed = _signed_weights(edges, pre, weight, sign, inhibitory)
    ids = _ids(edges[pre], edges[post], neuron_ids)
    index = {neuron: n for n, neuron in enumerate(ids)}
    rows = [index[neuron] for neuron in edges[post]]
    columns = [index[neuron] for neuron in edges[pre]]
    positive, negative = np.zeros((2, len(ids), len(ids)))
    np.add.at(positive, (rows, columns), np.maximum(signed, 0))
    np.add.at(negative, (rows, columns), np.maximum(-signed, 0))
    torn = np.argwhere((positive > 0) & (negative > 0))
    if len(torn):
        to, source = torn[0]
        raise InvalidInputError(
            f"{len(torn)} pairs occur with both signs, among them {ids[source]!r} to {ids[to]!r}; "
            "expected one sign per pair: sum or drop such rows first"
        )
    return _signed_connectome(positive - negative, ids, position, kind)


def connectome_from_adjacency(
    adjacency: "np.ndarray | pd.DataFrame",
    *,
    rows: str = "post",
    inhibitory: Collection = (),
    neuron_ids: Sequence | None = None,
    position: np.ndarray | None = None,
    kind: str = "adjacency",
) -> Connectome:
    """Connectome from a square matrix of weights, 0 where there is no connection.

    Parameters
    ----------
    adjacency : array or pandas.DataFrame, shape (neuron, neuron)
        A DataFrame brings the ids as its index.
    rows : {"post", "pre"}
        What a row stands for: "post" (this package's order) or "pre" (an entry goes
        from its row to its column, as in most published connectomes).
    inhibitory : collection of ids
        Neurons whose outgoing connections are all inhibitory; weights must then be
        non-negative. Default: the weights have their signs.
    neuron_ids : sequence, optional
        Default: the DataFrame's, or 0..n-1.
    position : array, shape (neuron, 2), optional
        In mm.
    kind : str
        Label.

    Returns
    -------
    Connectome

    Raises
    ------
    InvalidInputError
        If the matrix is not square or not finite, its labels differ, or signs clash.

    Examples
    --------
    >>> connectome_from_adjacency([[0, -2.0], [1.0, 0]]).connection_type.tolist()
    [[0, -1], [1, 0]]
    """
    import pandas as pd

    if isinstance(adjacency, pd.DataFrame):
        if list(adjacency.index) != list(adjacency.columns):
            raise InvalidInputError(
                "the matrix has other labels on its rows than on its columns; expected the "
                "same neurons in the same order on both"
            )
        neuron_ids = list(adjacency.index) if neuron_ids is None else neuron_ids
    try:
        weights = np.asarray(adjacency, float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the matrix holds what is not a number: {error}") from error
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise InvalidInputError(f"the matrix has shape {weights.shape}; expected a square one")
    if not np.isfinite(weights).all():
        raise InvalidInputError("the matrix holds NaN or infinity; write 0 for no connection")
    if rows not in ("post", "pre"):
        raise InvalidInputError(f"rows={rows!r}; expected 'post' or 'pre'")
    weights = weights.T if rows == "pre" else weights
    ids = list(range(len(weights))) if neuron_ids is None else list(neuron_ids)
    if len(inhibitory):
        _check_inhibitory(inhibitory, ids, weights)
        weights = np.where(np.isin(ids, list(inhibitory))[None, :], -weights, weights)
    return _signed_connectome(weights, ids, position, kind)


def _frame_from_rows(edges: Iterable[Sequence]) -> "pd.DataFrame":
    import pandas as pd

    rows = [tuple(row) for row in edges]
    lengths = {len(row) for row in rows}
    if rows and lengths not in ({2}, {3}):
        raise InvalidInputError(
            f"edges have {sorted(lengths)} entries; expected (pre, post) or (pre, post, weight)"
        )
    names = ["pre", "post", "weight"][: max(lengths, default=2)]
    return pd.DataFrame(rows, columns=names)


def _signed_weights(
    edges: "pd.DataFrame", pre: str, weight: str | None, sign: str | None, inhibitory: Collection
) -> np.ndarray:
    """Weight of every row with its sign."""
    weights = np.ones(len(edges)) if weight is None else _numbers(edges[weight], weight)
    if sign is None and not len(inhibitory):
        return weights
    if (weights < 0).any():
        raise InvalidInputError(
            "signs come twice: some weights are negative, and a sign column or `inhibitory` is "
            "given; expected non-negative weights with either"
        )
    if sign is not None and len(inhibitory):
        raise InvalidInputError(f"signs come twice: in column {sign!r} and in `inhibitory`")
    if sign is not None:
        return weights * _signs(edges[sign], sign)
    _check_inhibitory(inhibitory, edges[pre].unique(), weights)
    return np.where(edges[pre].isin(list(inhibitory)), -weights, weights)


def _numbers(column: "pd.Series", name: str) -> np.ndarray:
    try:
        values = column.to_numpy(float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"column {name!r} holds what is not a number: {error}") from error
    if not np.isfinite(values).all():
        raise InvalidInputError(f"column {name!r} holds NaN or infinity; drop those rows first")
    return values


def _signs(column: "pd.Series", name: str) -> np.ndarray:
    words = column.map(lambda entry: _SIGN_WORDS.get(str(entry).strip().lower(), entry))
    unread = [entry for entry in words.unique() if isinstance(entry, str)]
    if unread:
        raise InvalidInputError(
            f"column {name!r} holds {', '.join(map(repr, unread[:5]))}; expected numbers or "
            f"{', '.join(_SIGN_WORDS)}"
        )
    return np.sign(_numbers(words, name))


def _ids(pre: "pd.Series", post: "pd.Series", neuron_ids: Sequence | None) -> list:
    found = set(pre) | set(post)
    if any(entry != entry for entry in found):  # NaN is the one value unequal to itself
        raise InvalidInputError("some rows have no neuron id (NaN); drop those rows first")
    if neuron_ids is None:
        try:
            return sorted(found)
        except TypeError:
            return sorted(found, key=str)  # numbers and names mixed
    unknown = sorted(map(str, found - set(neuron_ids)))
    if unknown:
        raise InvalidInputError(
            f"{len(unknown)} neurons of the table are not in neuron_ids: {', '.join(unknown[:5])}"
        )
    return list(neuron_ids)


def _check_inhibitory(inhibitory: Collection, ids: Iterable, weights: np.ndarray) -> None:
    unknown = sorted(map(str, set(inhibitory) - set(ids)))
    if unknown:
        raise InvalidInputError(
            f"inhibitory names {', '.join(unknown[:5])}, which send no connection here"
        )
    if (weights < 0).any():
        raise InvalidInputError(
            "signs come twice: some weights are negative and `inhibitory` is given; expected "
            "non-negative weights with it"
        )


def _signed_connectome(
    weights: np.ndarray, ids: Sequence, position: np.ndarray | None, kind: str
) -> Connectome:
    types = np.sign(weights).astype(np.int8)
    both_signs = ((types == 1).any(axis=0) & (types == -1).any(axis=0)).any()
    return Connectome(
        kind,
        types,
        np.abs(weights),
        neuron_ids=np.asarray(ids),
        position=position,
        dale=not both_signs,
    )
