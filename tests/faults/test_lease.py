"""The lease: its token changes when it changes hands, and only then."""

import time

import pytest

from monitor.domain.errors import LeaseLost
from monitor.store import lease
from monitor.store.engine import Database

SHORT = 0.001


def take(database: Database, holder: str, seconds: float = 60) -> int | None:
    found = lease.acquire(database, holder, seconds)
    time.sleep(0.01)
    return found


def holds(database: Database, token: int) -> bool:
    try:
        with database.write() as connection:
            lease.hold(connection, token)
    except LeaseLost:
        return False
    return True


def test_lease_is_refused_while_another_holds_it(database: Database) -> None:
    assert take(database, "a") == 1
    assert take(database, "b") is None
    assert take(database, "a") == 1


def test_lease_that_ran_out_gets_a_new_token_with_a_new_holder(database: Database) -> None:
    assert take(database, "a", SHORT) == 1
    assert take(database, "b") == 2
    assert not holds(database, 1)
    assert holds(database, 2)
    assert take(database, "a") is None


def test_lease_that_ran_out_untaken_is_renewed_under_its_token(database: Database) -> None:
    assert take(database, "a", SHORT) == 1
    assert take(database, "a") == 1
    assert take(database, "b") is None


def test_lease_that_is_released_is_free_at_once(database: Database) -> None:
    assert take(database, "a") == 1
    lease.release(database, "b")
    assert take(database, "b") is None
    lease.release(database, "a")
    assert take(database, "b") == 2


def test_fence_makes_the_work_of_a_leader_void_and_lets_it_lead_on(database: Database) -> None:
    assert take(database, "a") == 1
    with database.write() as connection:
        lease.fence(connection)
    assert not holds(database, 1)
    assert take(database, "a") == 2
    assert holds(database, 2)


def test_hold_refuses_a_token_that_never_was(database: Database) -> None:
    with pytest.raises(LeaseLost, match="our token is 1"), database.write() as connection:
        lease.hold(connection, 1)
