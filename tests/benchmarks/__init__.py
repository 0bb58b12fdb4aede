"""Benchmarks: ratios against a peer or a floor in the same run; absolute times mean nothing on a shared machine."""
