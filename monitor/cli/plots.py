"""Plots of two calibrators' maps, for a terminal and as SVG."""

from collections.abc import Sequence

import numpy as np

from ..recalibrate.difference import MapPoint


def plotted(points: Sequence[MapPoint], *, width: int = 61, height: int = 21) -> str:
    """Return a plot of two maps for a terminal: `·` for raw values, `o` for before, `#` for after.

    >>> points = [MapPoint(probability=i / 10, before=i / 10, after=0.5) for i in range(11)]
    >>> print(plotted(points, width=11, height=5))
    1.0 |         oo
        |       oo
    0.5 |###########
        |  oo
    0.0 |oo
        +-----------
        0         1
    """
    rows = [[" "] * width for _ in range(height)]
    at, before, after = np.array([(point.probability, point.before, point.after) for point in points]).T
    x = np.arange(width) / (width - 1)
    inside = (x >= at[0] - 1e-9) & (x <= at[-1] + 1e-9)
    for mark, curve in (("·", at), ("o", before), ("#", after)):
        level = np.rint((1.0 - np.interp(x, at, curve)) * (height - 1)).astype(int)
        for column in np.flatnonzero(inside):
            rows[level[column]][column] = mark
    scale = {0: "1.0", (height - 1) // 2: "0.5", height - 1: "0.0"}
    lines = [f"{scale.get(i, ''):>3} |{''.join(row)}".rstrip() for i, row in enumerate(rows)]
    return "\n".join([*lines, f"    +{'-' * width}", f"    0{'1':>{width - 1}}"])


def drawn(points: Sequence[MapPoint], *, before: str, after: str, size: int = 360) -> str:
    """Return a plot of two maps as SVG text.

    >>> drawn([MapPoint(probability=0.0, before=0.0, after=0.5)], before="no calibrator", after="calibrator 1")[:4]
    '<svg'
    """
    margin = 40

    def line(values: Sequence[float], colour: str, dash: str) -> str:
        places = " ".join(
            f"{margin + point.probability * size:.1f},{margin + (1.0 - value) * size:.1f}"
            for point, value in zip(points, values, strict=True)
        )
        return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'

    whole = size + 2 * margin
    texts = (
        (margin, whole - 12, "0", "start"),
        (margin + size, whole - 12, "1", "end"),
        (margin + size // 2, whole - 12, "raw probability", "middle"),
        (margin, 24, f"served: {before} (dashed), {after} (solid)", "start"),
    )
    labels = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}">{_escaped(text)}</text>' for x, y, text, anchor in texts
    )
    frame = f'<rect x="{margin}" y="{margin}" width="{size}" height="{size}" fill="none" stroke="#999"/>'
    diagonal = f'<path d="M{margin},{margin + size}L{margin + size},{margin}" stroke="#ccc"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {whole}" font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="#fff"/>{frame}{diagonal}'
        f"{line([point.before for point in points], '#777', '6 4')}"
        f"{line([point.after for point in points], '#06c', 'none')}{labels}</svg>\n"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
