"""Post transitions of alerts to a webhook, each at least once, with an id by which receivers drop repeats."""

import logging
import random
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import urllib3
from msgspec import Struct

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
"""Posts a body to a URL under an id; raises if it did not arrive."""


class NotDelivered(Exception):
    """A notification did not arrive; it is repeated."""


class Notification(Struct, frozen=True, kw_only=True):
    """The body of a post: a transition of an alert."""

    id: str
    model: str
    at: str  # RFC 3339
    kind: str
    state: str
    window: str
    version: str
    segment: str
    summary: str
    evidence: Mapping[str, object]


def body_of(due: Due) -> bytes:
    """Return the body of the post for a transition."""
    alert = due.alert
    notification = Notification(
        id=due.id,
        model=due.model,
        at=rfc3339(alert.at),
        kind=alert.kind,
        state=alert.state,
        window=alert.window,
        version=alert.version,
        segment=alert.segment,
        summary=alert.summary,
        evidence=alert.evidence,
    )
    return msgspec.json.encode(notification)


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
    """Send the notification that has been due longest; return the number of arrived ones.

    The post is not part of any transaction. A process that dies between the post and its record posts again: at least once.
    """
    with database.read() as connection:
        waiting = alerts.due(connection, now(), limit=1)
    for due in waiting:
        error = _posted(send, url, due)
        with database.write(patient=True) as connection:
            hold(connection, token)
            if error is None:
                alerts.delivered(connection, due.id, now())
                return 1
            pause = backoff(due.attempts, first=FIRST_PAUSE, longest=LONGEST_PAUSE, least=0.5, uniform=random.uniform)
            give_up = due.attempts + 1 >= attempts
            alerts.failed(connection, due.id, next_at=now() + int(pause), error=error, give_up=give_up)
    return 0


def _posted(send: Send, url: str, due: Due) -> str | None:
    try:
        send(url, body_of(due), due.id)
    except Exception as error:  # noqa: BLE001 - whatever a webhook does, the job goes on
        log.warning("notification %s of model %s did not arrive: %s", due.id, due.model, error)
        return str(error) or type(error).__name__
    return None
