"""Recordings and results in and out: NWB, CRCNS text, pynapple, netCDF, public data."""
