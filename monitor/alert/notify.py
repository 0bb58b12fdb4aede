"""Notify: post transitions to a webhook, at least once each, with an id by which repeats can be told."""

import json
import logging
import random
from collections.abc import Callable
from typing import Any, Final

import urllib3

from ..domain.errors import LeaseLost, Unavailable
from ..domain.times import SECOND, backoff, rfc3339
from ..store import alerts
from ..store.alerts import Due
from ..store.engine import Database
from ..store.lease import hold

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 2 * SECOND
LONGEST_PAUSE: Final = 3600 * SECOND
SUCCESS: Final = range(200, 300)

Send = Callable[[str, bytes, str], None]
"""Post a body to a URL under an id; raises when it did not arrive."""


class NotDelivered(Exception):
    """A notification did not arrive; it is tried again."""


def payload(due: Due) -> dict[str, Any]:
    """Return what is posted for a transition."""
    alert = due.alert
    return {
        "id": due.id,
        "model": due.model,
        "at": rfc3339(alert.at),
        "kind": alert.kind,
        "state": alert.state,
        "window": alert.window,
        "version": alert.version,
        "segment": alert.segment,
        "summary": alert.summary,
        "evidence": alert.evidence,
    }


def webhook(timeout: float) -> Send:
    """Return the sender that posts over HTTP."""
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=timeout), retries=False)

    def send(url: str, body: bytes, notice: str) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": notice, "User-Agent": "calwatch"}
        try:
            answer = pool.request("POST", url, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise NotDelivered(type(error).__name__) from error
        if answer.status not in SUCCESS:
            raise NotDelivered(f"the webhook answered {answer.status}")

    return send


def send_due(database: Database, token: int, *, now: Callable[[], int], url: str, send: Send, attempts: int) -> int:
    """Send what has been due longest, one notification; return how many arrived.

    The post is not part of any transaction. A process that dies between post and note posts again: at least once.
    """
    with database.read() as connection:
        waiting = alerts.due(connection, now(), limit=1)
    arrived = 0
    for due in waiting:
        error = _posted(send, url, due)
        with database.write(patient=True) as connection:
            hold(connection, token)
            if error is None:
                alerts.delivered(connection, due.id, now())
                arrived += 1
            else:
                pause = backoff(
                    due.attempts, first=FIRST_PAUSE, longest=LONGEST_PAUSE, least=0.5, uniform=random.uniform
                )
                give_up = due.attempts + 1 >= attempts
                alerts.failed(connection, due.id, next_at=now() + int(pause), error=error, give_up=give_up)
    return arrived


def _posted(send: Send, url: str, due: Due) -> str | None:
    try:
        send(url, json.dumps(payload(due)).encode(), due.id)
    except (LeaseLost, Unavailable):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a webhook does, the job goes on
        log.warning("notification %s of model %s did not arrive: %s", due.id, due.model, error)
        return str(error) or type(error).__name__
    return None
