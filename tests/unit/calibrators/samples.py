"""Samples of every family: documents, drawn parameters of single probabilities, and the formula of their map.

The one place in the tests where a new family is written down.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.special import expit, logit

DOCUMENTS: list[dict[str, Any]] = [
    {"method": "identity", "task": "binary", "parameters": {}},
    {"method": "identity", "task": "multiclass", "parameters": {}},
    {"method": "temperature", "task": "binary", "parameters": {"temperature": 1.5}},
    {"method": "temperature", "task": "multiclass", "parameters": {"temperature": 0.1}},
    {"method": "temperature", "task": "confidence", "parameters": {"temperature": 3.0, "classes": 10}},
    {"method": "platt", "task": "binary", "parameters": {"slope": 0.7, "intercept": -0.1}},
    {"method": "beta", "task": "binary", "parameters": {"a": 0.0, "b": 1.5, "c": -0.1}},
    {
        "method": "quadratic_logit",
        "task": "binary",
        "parameters": {"square": -0.02, "slope": 0.9, "intercept": 0.3},
    },
    {
        "method": "scaling_binning",
        "task": "confidence",
        "parameters": {"edges": [0.2, 0.6], "values": [0.1, 0.1, 0.8]},
    },
    {"method": "isotonic", "task": "confidence", "parameters": {"x": [0.1, 0.2, 0.9], "y": [0.2, 0.2, 0.7]}},
    {
        "method": "vector",
        "task": "multiclass",
        "parameters": {"slopes": [0.5, 1.0, 2.0], "intercepts": [0.1, 0.0, -0.1]},
    },
    {
        "method": "structured_vector",
        "task": "multiclass",
        "parameters": {"slopes": [0.9, 1.0, 9.0], "intercepts": [2.0, -2.0, 0.0], "classes": ["ant", "bee", "cat"]},
    },
    {"method": "identity", "task": "regression", "parameters": {}},
    {"method": "variance_scaling", "task": "regression", "parameters": {"scale": 1.5}},
    {"method": "pit_isotonic", "task": "regression", "parameters": {"x": [0.2, 0.7], "y": [0.3, 0.6]}},
]

CONFIDENCE = st.floats(0.0, 1.0)
KNOTS = st.lists(st.integers(0, 10_000).map(lambda i: i / 10_000), min_size=1, max_size=30, unique=True).map(sorted)


def binary(method: str) -> Callable[..., dict[str, Any]]:
    return lambda **parameters: {"method": method, "task": "binary", "parameters": parameters}


def over(knots: list[float], *, values: int) -> st.SearchStrategy[list[float]]:
    return st.lists(CONFIDENCE, min_size=len(knots) + values, max_size=len(knots) + values).map(sorted)


TEMPERATURES = st.one_of(
    st.builds(binary("temperature"), temperature=st.floats(1e-3, 1e3)),
    st.builds(
        lambda t, k: {"method": "temperature", "task": "confidence", "parameters": {"temperature": t, "classes": k}},
        st.floats(1e-3, 1e3),
        st.integers(2, 1_000_000),
    ),
)
SCALARS = {
    "identity": st.just(binary("identity")()),
    "temperature": TEMPERATURES,
    "platt": st.builds(binary("platt"), slope=st.floats(1e-6, 1e4), intercept=st.floats(-1e4, 1e4)),
    "beta": st.builds(binary("beta"), a=st.floats(1e-6, 1e4), b=st.floats(0.0, 1e4), c=st.floats(-1e4, 1e4)),
    "quadratic_logit": st.builds(
        binary("quadratic_logit"),
        square=st.floats(-1e2, 1e2),
        slope=st.floats(1e-3, 1e4),
        intercept=st.floats(-1e4, 1e4),
    ),
    "scaling_binning": KNOTS.flatmap(
        lambda edges: st.builds(binary("scaling_binning"), edges=st.just(edges), values=over(edges, values=1))
    ),
    "isotonic": KNOTS.flatmap(lambda x: st.builds(binary("isotonic"), x=st.just(x), y=over(x, values=0))),
}
"""Documents of single probabilities, drawn."""


def by_quadratic(p: Any, *, square: float, slope: float, intercept: float) -> Any:
    z, vertex = logit(p), -slope / (2.0 * square) if square else -np.inf
    z = np.maximum(z, vertex) if square > 0.0 else np.minimum(z, vertex) if square < 0.0 else z
    return expit(square * z**2 + slope * z + intercept)


def by_temperature(p: Any, *, temperature: float, classes: int = 2) -> Any:
    margin = np.log(p) - np.log((1.0 - p) / (classes - 1))  # over each other class, which share the rest evenly
    return expit(margin / temperature - np.log(classes - 1))


FORMULAS: dict[str, Callable[..., Any]] = {
    "identity": lambda p: p,
    "temperature": by_temperature,
    "platt": lambda p, slope, intercept: expit(slope * logit(p) + intercept),
    "beta": lambda p, a, b, c: expit(a * np.log(p) - b * np.log(1.0 - p) + c),
    "quadratic_logit": by_quadratic,
    "scaling_binning": lambda p, edges, values: np.array(values)[(p[:, None] >= np.array(edges)).sum(axis=1)],
    "isotonic": lambda p, x, y: np.interp(p, x, y),  # noqa: PLW0108  called by these names
}
"""Maps of single probabilities in (0, 1), written another way than the families have them."""
