"""How many dimensions the activity of a network takes."""

import numpy as np
import xarray as xr

from onehotglm.errors import InvalidInputError


def dimensionality(activity: np.ndarray, explained: float = 0.9) -> xr.Dataset:
    """Principal components of activity, and two counts of dimensions.

    Parameters
    ----------
    activity : array, shape (..., neuron)
        Activity in every bin.
    explained : float
        Fraction of the variance to be explained.

    Returns
    -------
    Dataset
        ``explained_variance_ratio`` (component), falling; ``n_components``: how many
        explain the fraction; ``participation_ratio``:
        ``(sum lambda)^2 / sum lambda^2`` of the variances lambda.  Both counts are 0
        for constant activity.

    Raises
    ------
    InvalidInputError
        If the fraction is not between 0 and 1.

    Examples
    --------
    >>> plane = np.random.default_rng(0).standard_normal((500, 2)) @ np.eye(2, 6)
    >>> int(dimensionality(plane).n_components)
    2
    """
    if not 0 < explained < 1:
        raise InvalidInputError(f"explained={explained}, expected a fraction between 0 and 1")
    flat = np.asarray(activity, float).reshape(-1, activity.shape[-1])
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(flat, rowvar=False)))[::-1]
    variances = np.maximum(variances, 0.0)
    total = variances.sum()
    ratio = variances / total if total > 0 else np.zeros_like(variances)
    n_components = int(np.searchsorted(np.cumsum(ratio), explained) + 1) if total > 0 else 0
    return xr.Dataset(
        {
            "explained_variance_ratio": ("component", ratio),
            "n_components": n_components,
            "participation_ratio": 1 / np.sum(ratio**2) if total > 0 else 0.0,
        },
        coords={"component": np.arange(len(ratio))},
        attrs={"explained": explained},
    )
