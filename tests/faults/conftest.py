"""What the fault tests share: the number of kills, and ways to start the product on either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import Entry, Launcher, Servers


@pytest.fixture(scope="session")
def kills(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("kills"))


@pytest.fixture(scope="session")
def entry() -> Iterator[Entry]:
    found = Entry()
    yield found
    found.close()


@pytest.fixture
def launcher(entry: Entry, tmp_path: Path) -> Iterator[Launcher]:
    found = Launcher(entry, tmp_path)
    yield found
    found.close()


@pytest.fixture
def servers(launcher: Launcher, database_url: str) -> Servers:
    return Servers(launcher, database_url)


@pytest.fixture
def postgres_servers(launcher: Launcher, postgres_url: str) -> Servers:
    return Servers(launcher, postgres_url)


@pytest.fixture
def sqlite_servers(launcher: Launcher, sqlite_url: str) -> Servers:
    return Servers(launcher, sqlite_url)


@pytest.fixture
def servers_on_nothing(launcher: Launcher, tmp_path: Path) -> Servers:
    """Return servers whose SQLite file does not exist yet."""
    return Servers(launcher, f"sqlite:///{tmp_path / 'new.db'}")
