"""Calibrators: fit, apply, to and from plain JSON documents."""
