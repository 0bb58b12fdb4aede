"""Output at a terminal: progress, JSON, and the outcome of a replay."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..domain.alerts import Transition
from ..domain.names import version_name
from ..domain.times import micros, rfc3339
from ..runtime.replay_outcome import ReplayedStep, ReplayOutcome
from ..store.calibrators import FittedFrom


@contextmanager
def progress(what: str, *, silent: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with the steps done and in all; show a bar on standard error, where that is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=silent or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def json_of(answer: object) -> str:
    """Return an answer as JSON on one line."""
    return msgspec.json.format(msgspec.json.encode(answer), indent=0).decode()


def told(outcome: ReplayOutcome) -> str:
    """Return the outcome of a replay for reading: oldest first, with the labels that each step used.

    >>> steps = dict.fromkeys(("promotions", "rollbacks", "proposals", "refusals"), ())
    >>> print(told(ReplayOutcome(alerts=(), **steps, evaluations=3, left_out=0)))
    no alerts
    no promotions
    no rollbacks
    3 evaluations
    """
    steps = {
        "promotions": outcome.promotions,
        "rollbacks": outcome.rollbacks,
        "proposals": outcome.proposals,
        "refusals": outcome.refusals,
    }
    lines = _listed("alerts", [_alert(alert) for alert in outcome.alerts])
    for name, taken in steps.items():
        if taken or name in {"promotions", "rollbacks"}:
            lines += _listed(name, [_step(step) for step in taken])
    lines.append(f"{outcome.evaluations} evaluations")
    if outcome.left_out:
        lines.append(f"{outcome.left_out} predictions left out: only what a calibrator made of them is known")
    return "\n".join(lines)


def _listed(name: str, newest_first: Sequence[str]) -> list[str]:
    """Return lines under a heading, oldest first."""
    if not newest_first:
        return [f"no {name}"]
    return [f"{len(newest_first)} {name.removesuffix('s')}(s)", *(f"  {line}" for line in reversed(newest_first))]


def _alert(alert: Transition) -> str:
    labels = alert.evidence.get("labelled", alert.evidence.get("labels"))
    used = "" if labels is None else f" ({labels} labels)"
    at = rfc3339(micros(alert.at))
    return f"{at}  {alert.state}: {alert.evidence.get('summary', alert.kind)}{used}"


def _step(step: ReplayedStep) -> str:
    number = "" if step.number is None else f"{version_name(step.number)} "
    method = f"({step.method}) " if step.method else ""
    return f"{rfc3339(micros(step.at))}  {number}{method}{step.reason or ''}{_labels(step.fitted_from)}".rstrip()


def _labels(source: FittedFrom | None) -> str:
    counts = [] if source is None else [(source.labels, "labels"), (source.holdout_labels, "held out")]
    told = [f"{count} {what}" for count, what in counts if count is not None]
    return f" on {', '.join(told)}" if told else ""
