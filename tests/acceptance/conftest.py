"""What the acceptance tests may be told."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lives", type=int, default=2, help="how many simulated models of each kind live on SQLite")
