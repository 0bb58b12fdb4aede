"""Evaluation of every model's newest windows: figures, estimates and sequential tests."""
