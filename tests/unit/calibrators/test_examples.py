"""Examples in docstrings run, and come to what they say."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import monitor.calibrators

MODULES = [module.name for module in pkgutil.iter_modules(monitor.calibrators.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_come_to_what_they_say(name: str) -> None:
    results = doctest.testmod(import_module(f"monitor.calibrators.{name}"))
    assert results.failed == 0
