"""Pure statistics of calibration: NumPy and SciPy, no I/O, no clock, no logging."""
