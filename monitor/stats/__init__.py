"""Pure statistics of calibration, with NumPy and SciPy: no I/O, no clock, no log."""
