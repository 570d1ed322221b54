"""Objectives whose batch several devices share, each of them working on its part."""

from dataclasses import replace
from typing import Any, Self, cast

import jax
from jaxtyping import PRNGKeyArray

DEVICE_AXIS = "device"
"""Name of the axis over devices that share a batch."""


class SharedBatch:
    """Base of objectives that are frozen dataclasses, with these two fields.

    Attributes
    ----------
    batch_size : int
        Sequences per step; on one device, where the batch is shared.
    shared : bool
        Whether this is one device's part of a batch, as `share` makes it.
    """

    batch_size: int
    shared: bool

    def share(self, n_devices: int) -> Self | None:
        """Take one device's part of the batch.

        Parameters
        ----------
        n_devices : int

        Returns
        -------
        objective or None
            None if the batch cannot be divided evenly.
        """
        if self.batch_size % n_devices:
            return None
        part = self.batch_size // n_devices
        return replace(cast(Any, self), batch_size=part, shared=True)

    def key_of_device(self, key: PRNGKeyArray) -> PRNGKeyArray:
        """Key with which a device draws its part; the key itself if nothing is shared."""
        return jax.random.fold_in(key, jax.lax.axis_index(DEVICE_AXIS)) if self.shared else key
