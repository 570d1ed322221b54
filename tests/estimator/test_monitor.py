"""What a fit shows and hears while it runs."""

import signal
import sys
import threading

import jax.numpy as jnp
import numpy as np
import pytest

from onehotglm.estimator import monitor as module
from onehotglm.estimator.monitor import Monitor
from onehotglm.inference import em
from tests.inference.tiny import make_params, on_device


def state_at(log_likelihood, objective=-9.0, rejected=False):
    state = em.init(on_device(make_params(), "float32"))
    return state._replace(
        log_likelihood=jnp.asarray(log_likelihood),
        objective=jnp.asarray(objective),
        rejected=jnp.asarray(rejected),
    )


def test_paths_hold_accepted_steps_in_nats_per_bin():
    with Monitor(constant=-2.0, n_time_bins=4, progress=False) as monitor:
        assert not monitor(state_at(-100.0))
        monitor.start_over()
        monitor(state_at(-8.0, -9.0))
        monitor(state_at(-8.0, rejected=True))
        monitor(state_at(-6.0, -7.0))
    likelihood, objective = monitor.paths
    np.testing.assert_allclose(likelihood, [-2.5, -2.0])
    np.testing.assert_allclose(objective, [-2.75, -2.25])


def test_first_interrupt_asks_to_stop_and_the_second_raises():
    before = signal.getsignal(signal.SIGINT)
    with Monitor(0.0, 1, False) as monitor:
        assert not monitor(state_at(-1.0))
        signal.raise_signal(signal.SIGINT)
        assert monitor.interrupted
        assert monitor(state_at(-1.0))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_handler_is_restored_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), Monitor(0.0, 1, False):
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_signals_alone():
    seen = []

    def work():
        with Monitor(0.0, 1, False) as monitor:
            seen.append((signal.getsignal(signal.SIGINT), monitor(state_at(-1.0))))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


@pytest.mark.parametrize(("progress", "terminal"), [(True, True), (False, True), (True, False)])
def test_progress_shows_a_bar_in_a_terminal(progress, terminal, capsys, monkeypatch):
    monkeypatch.setattr(module, "_DELAY", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with Monitor(0.0, 2, progress) as monitor:
        monitor(state_at(-1.0))
        monitor.start_over()
        for _ in range(3):
            monitor(state_at(-1.0))
        monitor._bar.refresh()
    shown = capsys.readouterr().err
    assert ("EM: 4 steps" in shown) is (progress and terminal)
    assert ("-0.5000 nats/bin" in shown) is (progress and terminal)


def test_short_fits_show_no_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Monitor(0.0, 2, True) as monitor:
        monitor(state_at(-1.0))
    assert "EM" not in capsys.readouterr().err
