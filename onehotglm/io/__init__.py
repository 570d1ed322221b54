"""Recordings and results in and out: NWB, CRCNS text, pynapple, netCDF, public data."""

from onehotglm.io.checkpoint import load_dataset, save_dataset
from onehotglm.io.crcns import load_crcns_pfc6, load_crcns_position
from onehotglm.io.describe import NWBSummary, describe_nwb
from onehotglm.io.files import ensure_writable_folder
from onehotglm.io.nwb import load_nwb
from onehotglm.io.nwb_series import load_intervals, load_labels, load_series
from onehotglm.io.nwb_truth import load_nwb_truth
from onehotglm.io.nwb_write import save_nwb
from onehotglm.io.pynapple import from_pynapple, to_pynapple, to_tsgroup
from onehotglm.io.registry import fetch, list_datasets

__all__ = [
    "NWBSummary",
    "describe_nwb",
    "ensure_writable_folder",
    "fetch",
    "from_pynapple",
    "list_datasets",
    "load_crcns_pfc6",
    "load_crcns_position",
    "load_dataset",
    "load_intervals",
    "load_labels",
    "load_nwb",
    "load_nwb_truth",
    "load_series",
    "save_dataset",
    "save_nwb",
    "to_pynapple",
    "to_tsgroup",
]
