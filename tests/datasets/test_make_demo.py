"""The script in datasets/ makes the same recording every time, and a readable one."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from onehotglm.io import describe_nwb, load_nwb, load_nwb_truth

SCRIPT = Path(__file__).resolve().parents[2] / "datasets" / "make_demo.py"


@pytest.fixture(scope="module")
def make_demo():
    spec = importlib.util.spec_from_file_location("make_demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_demo


@pytest.mark.slow
def test_demo_is_the_same_every_time_and_holds_its_truth(make_demo, tmp_path):
    files = [make_demo(tmp_path / name) for name in ("one.nwb", "two.nwb")]
    first, second = (load_nwb(file, 0.02, epochs="session") for file in files)
    np.testing.assert_array_equal(first, second)
    assert first.sizes == {"session": 30, "time": 1510, "neuron": 20}
    truth = load_nwb_truth(files[0], first)
    assert set(np.unique(truth["states"])) == {0, 1, 2}
    assert truth["connectivity"].sizes == {"state": 3, "post": 20, "pre": 20}
    rates = describe_nwb(files[0]).units["rate"]
    assert 2 < rates.mean() < 20
