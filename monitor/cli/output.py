"""Tell a person at a terminal: progress, and what came of a replay."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..domain.alerts import Transition
from ..domain.times import micros, rfc3339


@contextmanager
def progress(what: str, *, silent: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield what is to be told how many steps are done; a bar on standard error, where that is a terminal."""
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
    """Return what the API would answer, on one line."""
    return msgspec.json.format(msgspec.json.encode(answer), indent=0).decode()


def told(outcome: Mapping[str, Any]) -> str:
    """Return what a replay came to, for reading: oldest first, and the labels that each step used.

    >>> print(told({"alerts": [], "promotions": [], "rollbacks": [], "proposals": [], "refusals": [], "evaluations": 3, "left_out": 0}))
    no alarms
    no promotions
    no rollbacks
    3 evaluations
    """
    lines = _listed("alarms", [_alarm(alert) for alert in outcome["alerts"]])
    for name in ("promotions", "rollbacks", "proposals", "refusals"):
        if outcome[name] or name in {"promotions", "rollbacks"}:
            lines += _listed(name, [f"{step['at']}  {_step(step)}" for step in outcome[name]])
    lines.append(f"{outcome['evaluations']} evaluations")
    if outcome["left_out"]:
        lines.append(f"{outcome['left_out']} predictions left out: only what a calibrator made of them is known")
    return "\n".join(lines)


def _listed(name: str, newest_first: Sequence[str]) -> list[str]:
    if not newest_first:
        return [f"no {name}"]
    return [f"{len(newest_first)} {name.removesuffix('s')}(s)", *(f"  {line}" for line in reversed(newest_first))]


def _alarm(alert: Transition) -> str:
    labels = alert.evidence.get("labelled", alert.evidence.get("labels"))
    used = "" if labels is None else f" ({labels} labels)"
    at = rfc3339(micros(alert.at))
    return f"{at}  {alert.state}: {alert.evidence.get('summary', alert.kind)}{used}"


def _step(step: Mapping[str, Any]) -> str:
    source = step["fitted_from"] or {}
    used = [
        f"{source[name]} {what}"
        for name, what in (("labels", "labels"), ("holdout_labels", "held out"))
        if name in source
    ]
    number = "" if step["number"] is None else f"version {step['number']} "
    method = f"({step['method']}) " if step["method"] else ""
    return f"{number}{method}{step['reason'] or ''}{' on ' + ', '.join(used) if used else ''}".strip()
