"""Watching a fit: the path of the likelihood, a progress bar, a clean way to stop."""

import signal
import sys
import threading
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np

from onehotglm.inference.em import EMState

if TYPE_CHECKING:
    from onehotglm.inference.svi import SVIState

# Shorter fits show no bar.
_DELAY = 2.0


class Monitor:
    """Records every EM step and asks the fit to stop at the first Ctrl-C.

    Use as a context manager around the fit.  A second Ctrl-C raises KeyboardInterrupt.

    Parameters
    ----------
    constant : float
        Added to log-likelihoods: minus the sum of ``log x!``.
    n_time_bins : int
        Bins that are modelled, to report per bin.
    progress : bool
        Show a bar, in a terminal or notebook, if the fit takes longer than two seconds.
    """

    def __init__(self, constant: float, n_time_bins: int, progress: bool):
        self.constant, self.n_time_bins, self.progress = constant, n_time_bins, progress
        self.log_likelihood_path: list[float] = []
        self.objective_path: list[float] = []
        self.interrupted = False
        self._searching = True

    def __enter__(self) -> "Monitor":
        from tqdm.auto import tqdm

        seen = sys.stderr.isatty() or "ipykernel" in sys.modules  # a log is no place for a bar
        self._bar = tqdm(
            desc="EM",
            unit=" steps",
            delay=_DELAY,
            disable=not (self.progress and seen),
            leave=False,
        )
        self._handler = None
        # Python lets only the main thread handle signals.
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._on_interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
        self._bar.close()

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def start_over(self) -> None:
        """Forget the trial runs of the starts: what comes next is the fit."""
        self._searching = False
        self.log_likelihood_path.clear()
        self.objective_path.clear()

    def record(self) -> dict[str, np.ndarray]:
        """Hand out the paths so far, for `recall`."""
        likelihood, objective = self.paths
        return {"log_likelihood_path": likelihood, "objective_path": objective}

    def recall(self, record: dict[str, np.ndarray]) -> None:
        """Go on with the paths of a fit that was broken off."""
        self.log_likelihood_path[:] = record["log_likelihood_path"].tolist()
        self.objective_path[:] = record["objective_path"].tolist()

    def __call__(self, state: EMState) -> bool:
        """Record a step; True asks the fit to stop."""
        value = (float(state.log_likelihood) + self.constant) / self.n_time_bins
        if not bool(state.rejected):
            self.log_likelihood_path.append(value)
            self.objective_path.append((float(state.objective) + self.constant) / self.n_time_bins)
        text = "comparing starts" if self._searching else f"log-likelihood {value:.4f} nats/bin"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()
        return self.interrupted

    def watch_bound(self, state: "SVIState") -> bool:
        """Record a block of variational steps; True asks the fit to stop."""
        for path, value in (
            (self.log_likelihood_path, state.log_likelihood),
            (self.objective_path, state.elbo),
        ):
            path.append((float(value) + self.constant) / self.n_time_bins)
        self._bar.set_description_str("VI", refresh=False)
        self._bar.set_postfix_str(f"ELBO {self.objective_path[-1]:.4f} nats/bin", refresh=False)
        self._bar.update()
        return self.interrupted

    @property
    def paths(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-likelihood and penalised objective of every accepted step, nats per bin."""
        return np.array(self.log_likelihood_path), np.array(self.objective_path)
