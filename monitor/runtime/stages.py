"""Stages and jobs, each declared once, and the loop that runs a stage over all models."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ..alert.job import judge_alerts
from ..alert.notify import Send, send_due
from ..domain.alerts import Alert
from ..domain.errors import LeaseLost, Unavailable
from ..domain.names import version_name
from ..domain.settings import Model
from ..domain.times import DAY
from ..evaluation.estimates import estimate_model
from ..evaluation.job import evaluate_model
from ..evaluation.sequential import advance_tests
from ..recalibrate.job import answer_breach
from ..recalibrate.outcomes import Refitted, Refused
from ..recalibrate.trials import judge_trials
from ..rollup.job import roll_up
from ..store import estimates, evaluations, journal, models, replays
from ..store.engine import Database
from ..store.jobs import failed
from ..store.lease import hold
from .config import Settings
from .jobs import Job

log = logging.getLogger(__name__)

NOTIFY_SECONDS: Final = 1.0
HOUSEKEEPING_SECONDS: Final = 3600.0
HISTORY_IN_FULL: Final = 2 * DAY
ESTIMATES_IN_FULL: Final = 30 * DAY
REPLAYS_KEPT: Final = 7 * DAY

ROLL_UP: Final = "rollup"

EVALUATE: Final = "evaluate"

BEHIND_FACTOR: Final = 4
"""A roll-up that is behind takes up to this multiple of events at once: larger transactions are faster."""


def _nothing(_model: Model, _outcome: Any) -> list[str]:
    return []


def _transitions(_model: Model, outcome: list[Alert]) -> list[str]:
    return [f"alert {change.state}: {change.evidence.summary}" for change in outcome]


def _refit(model: Model, outcome: Refitted | Refused | None) -> list[str]:
    if outcome is None:
        return []
    result = "refused"
    if isinstance(outcome, Refitted):
        result = f"{version_name(outcome.number)}, {'promoted' if outcome.promoted else 'not promoted'}"
    return [f"refit of {model.name}: {result}: {outcome.reason}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A piece of work on each model, after the roll-up."""

    name: str
    verb: str  # for the log, before a model's name
    run: Callable[[Database, int, Model, int], Any]  # database, fencing token, model, now
    log_lines: Callable[[Model, Any], list[str]] = _nothing  # of what `run` returned
    replayed: bool = True  # whether it can change what a policy would have done


def stages(*, notify: bool) -> tuple[Stage, ...]:
    """Return the stages in their order; each reads the results of those before it.

    Parameters
    ----------
    notify : whether alert transitions are queued for the webhook

    """
    return (
        Stage(name=EVALUATE, verb="evaluating", run=evaluate_model),
        Stage(name="estimate", verb="estimating", run=estimate_model, replayed=False),
        Stage(name="trials", verb="judging the trials of", run=judge_trials),
        Stage(name="tests", verb="testing", run=advance_tests),
        Stage(
            name="alerts",
            verb="judging the alerts of",
            run=partial(judge_alerts, notify=notify),
            log_lines=_transitions,
        ),
        Stage(name="recalibrate", verb="refitting", run=answer_breach, log_lines=_refit),
    )


def run_stages(database: Database, token: int, *, now: Callable[[], int], notify: bool) -> int:
    """Run every stage over all models; return the number of failures.

    Raises
    ------
    LeaseLost
        when another process leads now.
    Unavailable
        when the database does not answer.

    """
    return sum(run_stage(one, database, token, now=now) for one in stages(notify=notify))


def run_stage(chosen: Stage, database: Database, token: int, *, now: Callable[[], int]) -> int:
    """Run a stage over all models; a failure is logged and does not stop other models. Return the number of failures.

    Raises
    ------
    LeaseLost
        when another process leads now.
    Unavailable
        when the database does not answer.

    """
    with database.read() as connection:
        everyone = models.everyone(connection)
    failures = 0
    for model in everyone:
        try:
            outcome = chosen.run(database, token, model, now())
        except (LeaseLost, Unavailable):
            raise
        except Exception:
            log.exception("%s model %s failed", chosen.verb, model.name)
            failures += 1
        else:
            for line in chosen.log_lines(model, outcome):
                log.warning("%s", line)
    return failures


def jobs_of(
    settings: Settings, database: Database, *, now: Callable[[], int], send: Send
) -> dict[str, tuple[float, Job]]:
    """Return the jobs by name, with the seconds between their runs.

    Parameters
    ----------
    now : the wall clock, in microseconds
    send : posts a notification to the webhook

    """
    notifies = bool(settings.webhook_url)

    def take_in(token: int) -> int:
        return roll_up(database, token, now=now, events=_events_now(settings, database))

    def judge(token: int) -> None:
        if run_stages(database, token, now=now, notify=notifies):
            with database.write(patient=True) as connection:
                failed(connection, EVALUATE)

    def keep_house(token: int) -> None:
        present = now()
        with database.write(patient=True) as connection:
            hold(connection, token)
            before = present - settings.evaluation_days * DAY
            evaluations.thin(connection, before=before, hourly_before=present - HISTORY_IN_FULL)
            estimates.thin(connection, before=before, daily_before=present - ESTIMATES_IN_FULL)
            replays.thin(connection, before=present - REPLAYS_KEPT)

    def notify(token: int) -> int:
        url, attempts = settings.webhook_url, settings.webhook_attempts
        return send_due(database, token, now=now, url=url, send=send, attempts=attempts)

    jobs: dict[str, tuple[float, Job]] = {
        ROLL_UP: (settings.rollup_seconds, take_in),
        EVALUATE: (settings.evaluate_seconds, judge),
        "housekeeping": (HOUSEKEEPING_SECONDS, keep_house),
    }
    return jobs | {"notify": (NOTIFY_SECONDS, notify)} if notifies else jobs


def _events_now(settings: Settings, database: Database) -> int:
    """Return the number of events for the next roll-up."""
    with database.read() as connection:
        waiting, _ = journal.backlog(connection)
    return min(max(settings.rollup_events, waiting), BEHIND_FACTOR * settings.rollup_events)
