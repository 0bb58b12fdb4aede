"""The points at which faults strike are where the product has them."""

import importlib

import pytest

from tests.faults import entry
from tests.faults.test_kills import POINTS


@pytest.mark.parametrize("point", entry.POINTS)
def test_point_lies_after_a_function_of_the_product(point: str) -> None:
    module, name = entry.POINTS[point]
    assert callable(getattr(importlib.import_module(module), name))


def test_kills_are_at_points_that_exist() -> None:
    assert set(POINTS) <= {*entry.POINTS, entry.COMMITTED, entry.ROLLED_UP, entry.POSTED}
