"""Windows of forecasts and outcomes that every figure is held against its peers on."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Window = tuple[Floats, Floats]

SIXTIETHS = [i / 60 for i in range(61)]

HOSTILE: dict[str, tuple[list[float], list[int]]] = {
    "one event": ([0.3], [1]),
    "one certain and wrong": ([1.0], [0]),
    "one certain and right": ([0.0], [0]),
    "two events": ([0.2, 0.9], [0, 1]),
    "two tied": ([0.3, 0.3], [0, 1]),
    "two wrong ends": ([0.0, 1.0], [1, 0]),
    "two right ends": ([0.0, 1.0], [0, 1]),
    "only ones": ([0.0, 0.1, 0.5, 0.5, 0.95, 1.0], [1] * 6),
    "only zeros": ([0.0, 0.1, 0.5, 0.5, 0.95, 1.0], [0] * 6),
    "one value": ([0.7] * 40, [1, 1, 0, 1] * 10),
    "a half": ([0.5] * 9, [0, 1, 1] * 3),
    "ends": ([0.0, 1.0] * 20, [0, 1, 1, 1] * 10),
    "edges": (SIXTIETHS * 2, [0, 1] * 61),
    "beside edges": (
        [math.nextafter(each, side) for each in SIXTIETHS for side in (0.0, 1.0)],
        [0, 1, 1] * 40 + [1, 0],
    ),
    "told apart but for a tie": ([0.2, 0.5, 0.5, 0.8], [0, 0, 1, 1]),
    "told apart": ([0.1, 0.2, 0.2, 0.6, 0.9], [0, 0, 0, 1, 1]),
}


def drawn(seed: int) -> Window:
    """Return forecasts of one of four kinds (smooth, tied, piled up at the ends, coarse with certainty) and their outcomes."""
    generator = np.random.default_rng(seed)
    n = int(generator.integers(3, 1500))
    p = [
        generator.random(n),
        np.round(generator.random(n), 1),
        generator.beta(0.2, 0.2, n),
        generator.choice([0.0, 0.25, 0.5, 1.0], n),
    ][seed % 4]
    return p, (generator.random(n) < 0.1 + 0.8 * p).astype(np.float64)


WINDOWS: dict[str, Window] = {name: (np.array(p), np.array(y, dtype=float)) for name, (p, y) in HOSTILE.items()} | {
    f"drawn {seed}": drawn(seed) for seed in range(8)
}


@pytest.fixture(params=WINDOWS)
def window(request: pytest.FixtureRequest) -> Window:
    """Give every window in turn, of at least one event."""
    return WINDOWS[request.param]


def vectors(seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return probability vectors of one of four kinds (smooth, tied, certain, a single event) and labels; some classes may not occur."""
    generator = np.random.default_rng(seed)
    n, classes = [(400, 3), (150, 5), (60, 4), (1, 3)][seed % 4]
    p = generator.dirichlet(np.full(classes, 0.6), n)
    if seed % 4 == 1:
        p = generator.permuted(np.tile([0.4, 0.4, 0.2, 0.0, 0.0], (n, 1)), axis=1)
    if seed % 4 == 2:
        p = np.eye(classes)[generator.integers(0, classes, n)]
    return p, generator.integers(0, classes - 1, n)


@pytest.fixture(params=range(8))
def answers(request: pytest.FixtureRequest) -> tuple[Floats, NDArray[np.int64]]:
    """Give vectors and labels of every kind, twice."""
    return vectors(request.param)
