"""From sums to the figures of a window of time."""
