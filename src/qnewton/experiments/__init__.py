"""Calibration, comparison, and the paper's tables and figures, one file each."""
