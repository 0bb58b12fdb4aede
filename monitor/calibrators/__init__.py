"""Calibrators: fit, apply, to and from plain JSON documents.

Nothing is imported here, so that serving code may use `scalar` and `document` (plain Python) without NumPy; the families that fit
(`families`, `identity`, `temperature`, `platt`, `isotonic`), the `gate` and the rows that they take need NumPy and SciPy.
"""
