"""Labels of states: found again after any permutation, and changed everywhere at once."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings, strategies as st

from onehotglm.errors import InvalidInputError
from onehotglm.estimator.match import confusion, match_couplings, match_paths, reorder_states

permutations = st.integers(1, 6).flatmap(lambda n: st.permutations(range(n)))
several = st.integers(2, 6).flatmap(lambda n: st.permutations(range(n)))
seeds = st.integers(0, 2**31)


def fit_of(n_states: int, seed: int, n_neurons: int = 3) -> xr.Dataset:
    """A random fit with a path that visits every state."""
    rng = np.random.default_rng(seed)
    couplings = rng.normal(size=(n_states, n_neurons, n_neurons))
    path = rng.permutation(np.repeat(np.arange(n_states), 5))
    path = np.append(path, [-1, -1])[None]
    return xr.Dataset(
        {
            "connectivity": (("state", "post", "pre"), couplings),
            "bias": (("state", "neuron"), rng.normal(size=(n_states, n_neurons))),
            "transition_matrix": (
                ("state", "next_state"),
                rng.dirichlet(np.ones(n_states), n_states),
            ),
            "shared_connectivity": (("post", "pre"), couplings.mean(0)),
            "states": (("session", "time"), path),
        },
        coords={"state": np.arange(n_states)},
    )


@given(permutations, seeds)
@settings(max_examples=50, deadline=None)
def test_a_permuted_copy_is_matched_back(permutation: list[int], seed: int) -> None:
    truth = fit_of(len(permutation), seed)
    copy = reorder_states(truth, permutation)
    by_couplings = match_couplings(copy, truth)
    by_paths = match_paths(copy["states"], truth["states"])
    assert by_couplings.tolist() == by_paths.tolist() == np.argsort(permutation).tolist()
    assert reorder_states(copy, by_couplings).identical(truth)


@given(permutations, seeds)
@settings(max_examples=50, deadline=None)
def test_every_variable_is_reordered_in_the_same_way(permutation: list[int], seed: int) -> None:
    fit = fit_of(len(permutation), seed)
    new = reorder_states(fit, permutation)
    old_path, new_path = fit["states"].values, new["states"].values
    assert ((old_path < 0) == (new_path < 0)).all()
    known = old_path >= 0
    assert (np.asarray(permutation)[new_path[known]] == old_path[known]).all()
    # What a bin's state says of it must stay the same.
    for name in ("bias", "connectivity"):
        assert (new[name].values[new_path[known]] == fit[name].values[old_path[known]]).all()
    moved = fit["transition_matrix"].values[np.ix_(permutation, permutation)]
    assert (new["transition_matrix"].values == moved).all()
    assert new["shared_connectivity"].identical(fit["shared_connectivity"])


@given(permutations, seeds, st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_states_without_partner_go_last(permutation: list[int], seed: int, dropped: int) -> None:
    truth = fit_of(len(permutation), seed)
    fit = reorder_states(truth, permutation)
    fewer = truth.isel(state=slice(max(len(permutation) - dropped, 1)))
    found = match_couplings(fit, fewer)
    n_matched = fewer.sizes["state"]
    assert found[:n_matched].tolist() == np.argsort(permutation)[:n_matched].tolist()
    assert sorted(found) == sorted(permutation)


@given(several, seeds)
@settings(max_examples=50, deadline=None)
def test_missing_states_are_marked(permutation: list[int], seed: int) -> None:
    truth = fit_of(len(permutation), seed)
    fit = reorder_states(truth, permutation).isel(state=slice(1, None), next_state=slice(1, None))
    found = match_couplings(fit, truth)
    assert found[permutation[0]] == -1
    assert sorted(found[found >= 0]) == list(range(fit.sizes["state"]))
    kept = [i for i in range(len(permutation)) if i != permutation[0]]
    reordered = reorder_states(fit.drop_vars("states"), found)
    assert (reordered["bias"].values == truth["bias"].values[kept]).all()


def test_biases_decide_where_couplings_agree() -> None:
    truth = fit_of(2, 0)
    truth["connectivity"][:] = 0.0
    swapped = reorder_states(truth, [1, 0])
    assert match_couplings(swapped, truth).tolist() == [1, 0]
    assert match_couplings(swapped.drop_vars("bias"), truth).tolist() == [0, 1]


def test_the_largest_total_overlap_wins() -> None:
    # Taken alone, state 0 prefers state 1; together the diagonal shares more bins.
    reference = np.repeat([0, 0, 1, 1], [5, 4, 6, 0])
    states = np.repeat([1, 0, 1, 0], [5, 4, 6, 0])
    assert confusion(states, reference).tolist() == [[4, 5], [0, 6]]
    assert match_paths(states, reference).tolist() == [0, 1]


def test_numbers_of_states_count_those_that_are_never_visited() -> None:
    assert match_paths([[1, 1]], [[0, 0]]).tolist() == [1, 0]
    assert sorted(match_paths([[0, 1]], [[0, 1]], n_states=4)) == [0, 1, 2, 3]
    more = match_paths([[0, 1]], [[1, 0]], n_reference_states=3)
    assert more.tolist() == [1, 0, -1]


@pytest.mark.parametrize("permutation", [[0, 0], [1, 2], [0], [0, 1, 2]])
def test_no_permutation(permutation: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="no permutation of 2 states"):
        reorder_states(fit_of(2, 0), permutation)


def test_a_label_outside_the_permutation() -> None:
    decoded = xr.Dataset({"states": ("time", [0, 3])})
    with pytest.raises(InvalidInputError, match="label 3"):
        reorder_states(decoded, [1, 0])


def test_paths_of_other_bins() -> None:
    with pytest.raises(InvalidInputError, match=r"shapes \(1, 3\) and \(1, 2\)"):
        match_paths([[0, 1, 1]], [[0, 1]])


def test_couplings_that_cannot_be_compared() -> None:
    fit = fit_of(2, 0)
    with pytest.raises(InvalidInputError, match="same neurons"):
        match_couplings(fit, fit_of(2, 0, n_neurons=4))
    with pytest.raises(InvalidInputError, match=r"lacks; it has bias"):
        match_couplings(fit[["bias"]], fit)
