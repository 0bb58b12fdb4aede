"""Calibrators: fit, apply, to and from plain JSON documents.

One file per family, and one line for each in `families`. Serving code needs neither NumPy nor SciPy for single predictions, and NumPy
alone for arrays: `compiled` turns documents into functions. Fits and the gates need both.
"""
