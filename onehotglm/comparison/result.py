"""What a comparison of decoders has found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from onehotglm.evaluation import resampled_interval, wiring_recovery
from onehotglm.evaluation.wiring import correlation
from onehotglm.networks import Decoder
from onehotglm.plots.recovery import between_neurons

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRUTH = "true wiring"


class DecoderResult(NamedTuple):
    """One fitted decoder.

    Attributes
    ----------
    name : str
    decoder : Decoder
    bits : DataArray, dims (session,)
        Bits that each held-out block gains over the mean rates of the training data.
    train_bits_per_spike : float
    fit_seconds : float
        Wall time of `fit`: with compilation, and with the connectivity.
    warnings : tuple of str
        Shown while fitting.
    """

    name: str
    decoder: Decoder
    bits: xr.DataArray
    train_bits_per_spike: float
    fit_seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Decoders side by side, from `compare`.

    Attributes
    ----------
    results : sequence of DecoderResult
        Of the decoders that were fitted, in the order of the call.
    failures : mapping of str to str
        Why others were not.
    n_spikes : DataArray, dims (session,)
        Spikes of each held-out block.
    reference : str
        Decoder that the differences are to.
    truth : DataArray, dims (post, pre), optional
        The wiring, in a simulation.
    """

    results: Sequence[DecoderResult]
    n_spikes: xr.DataArray
    reference: str
    failures: Mapping[str, str] = field(default_factory=dict)
    truth: xr.DataArray | None = None

    @property
    def decoders(self) -> dict[str, Decoder]:
        """The fitted decoders, by name."""
        return {result.name: result.decoder for result in self.results}

    @property
    def table(self) -> pd.DataFrame:
        """A row per decoder.

        Returns
        -------
        DataFrame
            ``name``; ``bits_per_spike`` of the held-out blocks over the training data's mean
            rates, with the ends ``low`` and ``high`` of its 95 % interval over blocks;
            ``difference`` to the reference on the same blocks, with ``difference_low`` and
            ``difference_high`` (paired: far narrower than two intervals suggest);
            ``training``, bits per spike of the training blocks; ``fit_seconds``;
            ``n_parameters``.  With a known wiring also `wiring_recovery` of the couplings
            where a decoder has them, else of its effective connectivity: ``wiring_reading``
            says which; `wiring` has all.
        """
        wiring = self.wiring
        rows = []
        for result in self.results:
            row = {"name": result.name, **self._scores(result)}
            row |= {
                "training": result.train_bits_per_spike,
                "fit_seconds": result.fit_seconds,
                "n_parameters": result.decoder.n_parameters_,
            }
            if wiring is not None:
                couplings = f"{result.name}, couplings"
                reading = couplings if couplings in wiring.index else result.name
                row |= {"wiring_reading": reading, **wiring.loc[reading].to_dict()}
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def connectivity(self) -> xr.DataArray:
        """Every reading of every decoder's connectivity, dims (reading, post, pre).

        A decoder's effective connectivity goes by its name, for example ``"rnn"``; other
        readings by name and kind, ``"hmm-glm, couplings"``.  Coordinates say ``decoder`` and
        ``units`` of each.
        """
        readings = [
            (result.name if kind == "effective" else f"{result.name}, {kind}", result.name, matrix)
            for result in self.results
            for kind, matrix in result.decoder.readings_.items()
        ]
        labels, names, matrices = zip(*readings, strict=True)
        return xr.DataArray(
            np.stack([matrix.transpose("post", "pre").values for matrix in matrices]),
            dims=("reading", "post", "pre"),
            coords={
                "reading": list(labels),
                "decoder": ("reading", list(names)),
                "units": ("reading", [matrix.attrs.get("units", "") for matrix in matrices]),
                "post": matrices[0]["post"].values,
                "pre": matrices[0]["pre"].values,
            },
            name="connectivity",
        )

    @property
    def correlations(self) -> pd.DataFrame:
        """Pearson's r between readings, and the true wiring where it is known.

        Over pairs of different neurons; readings that are zero everywhere are left out.
        """
        matrices = {
            str(matrix["reading"].item()): between_neurons(matrix) for matrix in self.connectivity
        }
        if self.truth is not None:
            matrices[TRUTH] = between_neurons(self.truth)
        matrices = {name: values for name, values in matrices.items() if np.any(values)}
        return pd.DataFrame(
            [[correlation(a, b) for b in matrices.values()] for a in matrices.values()],
            index=list(matrices),
            columns=list(matrices),
        )

    @property
    def wiring(self) -> pd.DataFrame | None:
        """`wiring_recovery` of every reading, a row each; None without a known wiring."""
        if self.truth is None:
            return None
        return pd.DataFrame(
            {
                str(matrix["reading"].item()): wiring_recovery(matrix, self.truth)
                for matrix in self.connectivity
            }
        ).T

    def to_dataset(self) -> xr.Dataset:
        """Label connectivities, their correlations and the blocks' scores.

        Returns
        -------
        Dataset
            ``connectivity`` (reading, post, pre); ``correlation`` (row, column);
            ``bits_per_spike`` (decoder, session) and ``n_spikes`` (session) of the held-out
            blocks; ``true_wiring`` (post, pre) where it is known.
        """
        names = [result.name for result in self.results]
        bits = xr.concat([result.bits for result in self.results], "decoder")
        per_spike = (bits / self.n_spikes).assign_coords(decoder=names)
        correlations = self.correlations
        variables = {
            "connectivity": self.connectivity.rename(decoder="reading_decoder"),
            "correlation": xr.DataArray(
                correlations.values,
                {"row": correlations.index.to_list(), "column": correlations.columns.to_list()},
            ),
            "bits_per_spike": per_spike.transpose("decoder", "session"),
            "n_spikes": self.n_spikes,
        }
        if self.truth is not None:
            variables["true_wiring"] = self.truth
        return xr.Dataset(variables, attrs={"reference": self.reference})

    def save(self, folder: str | Path) -> None:
        """Write ``table.csv`` and ``comparison.nc`` (`to_dataset`) into a folder.

        Parameters
        ----------
        folder : str or Path
            Created where it is not there.

        Raises
        ------
        DataFileError
            If the folder cannot be written to.
        """
        from onehotglm.io import ensure_writable_folder, save_dataset
        from onehotglm.io.files import atomic_write

        folder = ensure_writable_folder(folder)
        with atomic_write(folder / "table.csv") as path:
            self.table.to_csv(path, index=False, float_format="%.6g")
        save_dataset(self.to_dataset(), folder / "comparison.nc", "comparison")

    def plot_scores(self, **options: Any) -> "Axes":
        """Bits per spike with intervals, see `onehotglm.plots.plot_scores`.

        Parameters
        ----------
        **options
            Of that function.
        """
        from onehotglm.plots import plot_scores

        return plot_scores(self.table, **options)

    def plot_differences(self, **options: Any) -> "Axes":
        """Paired differences, see `onehotglm.plots.plot_differences`.

        Parameters
        ----------
        **options
            Of that function.
        """
        from onehotglm.plots import plot_differences

        return plot_differences(self.table, reference=self.reference, **options)

    def plot_connectivity(self, **options: Any) -> np.ndarray:
        """Draw connectivities side by side, see `onehotglm.plots.plot_readings`.

        Parameters
        ----------
        **options
            Of that function.
        """
        from onehotglm.plots import plot_readings

        return plot_readings(self.connectivity, self.truth, **options)

    def plot_correlations(self, **options: Any) -> "Axes":
        """Correlations of connectivities, see `onehotglm.plots.plot_correlations`.

        Parameters
        ----------
        **options
            Of that function.
        """
        from onehotglm.plots import plot_correlations

        return plot_correlations(self.correlations, **options)

    def plot_wiring(self) -> np.ndarray:
        """Draw how much of the wiring is found, see `onehotglm.plots.plot_wiring`."""
        from onehotglm.errors import InvalidInputError
        from onehotglm.plots import plot_wiring

        if self.truth is None:
            raise InvalidInputError(
                "the wiring of this recording is not known; compare(simulation) with a Dataset "
                "from simulate_population has one to draw"
            )
        assert self.wiring is not None
        return plot_wiring(self.connectivity, self.truth, self.wiring)

    def _scores(self, result: DecoderResult) -> dict[str, float]:
        n_spikes = self.n_spikes.values
        gained = result.bits.values
        low, high = resampled_interval(gained, n_spikes)
        scores = {"bits_per_spike": gained.sum() / n_spikes.sum(), "low": low, "high": high}
        others = {other.name: other.bits.values for other in self.results}
        names = ("difference", "difference_low", "difference_high")
        if self.reference not in others or self.reference == result.name:
            return scores | dict.fromkeys(names, np.nan)
        over = gained - others[self.reference]
        values = (over.sum() / n_spikes.sum(), *resampled_interval(over, n_spikes))
        return scores | dict(zip(names, values, strict=True))
