"""Commands on calibrators: list, compare, refit, promote, reject, roll back."""

import json
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ..domain.names import version_name
from ..domain.times import micros, rfc3339
from ..recalibrate import manual
from ..recalibrate.difference import Difference, compared
from ..recalibrate.manual import Moved
from ..recalibrate.naming import named_version
from ..recalibrate.outcomes import Refitted, Refused
from ..recalibrate.refit import HOLDOUT
from ..runtime.clock import wall_clock
from ..runtime.config import load
from ..runtime.wiring import open_database
from ..store import models, versions
from ..store.calibrators import Fitted, Gate
from ..store.engine import Database
from ..store.impact import DecisionImpact, SelectedBy
from .output import json_of
from .plots import drawn, plotted

Name = Annotated[str, typer.Argument(help="the model")]
AsJson = Annotated[bool, typer.Option("--json", help="print what the API would answer")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="preview the change only")]
Reason = Annotated[str, typer.Option(help="why, for the audit log")]

BY_COMMAND: Final = "asked for at a terminal"

calibrators_app = typer.Typer(no_args_is_help=True, help="Calibrators: list and compare versions.")


def add_to(app: typer.Typer) -> None:
    """Add these commands to an app."""
    app.add_typer(calibrators_app, name="calibrators")
    for command in (refit, promote, reject, rollback):
        app.command()(command)


@calibrators_app.command("list")
def list_calibrators(model: Name, *, as_json: AsJson = False) -> None:
    """List all versions, newest first, with those in service."""
    with _database() as database, database.read() as connection:
        declared = models.named(connection, model)
        documents = versions.documents(connection, declared.id)
        aliases = {alias.number: name for name, alias in versions.aliases(connection, declared.id).items()}
    if as_json:
        typer.echo(json_of({"calibrators": documents}))
        return
    for document in documents:
        alias, created = aliases.get(document.number, ""), rfc3339(micros(document.created_at))
        typer.echo(f"{document.number}\t{document.method}\t{created}\t{alias}\t{_judged(document.gate)}")
    if not documents:
        typer.echo(f"{model} has no calibrator yet")


def _judged(gate: Gate | None) -> str:
    return "not judged" if gate is None else gate.reason


@calibrators_app.command("diff")
def diff(
    model: Name,
    before: Annotated[str, typer.Argument(help="a version's number, champion, challenger, or identity for none")],
    after: Annotated[str, typer.Argument(help="likewise")],
    *,
    picture: Annotated[Path | None, typer.Option(help="write the two maps to this SVG file", dir_okay=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions: both maps, and the change of recent traffic and decisions."""
    with _database() as database, database.read() as connection:
        declared = models.named(connection, model)
        one, other = (named_version(connection, declared, which) for which in (before, after))
        difference = compared(connection, declared, one, other, wall_clock())
    if picture is not None:
        picture.write_text(drawn(difference.map, before=version_name(one), after=version_name(other)), encoding="utf-8")
    typer.echo(json_of(difference) if as_json else _told(difference))


def refit(
    model: Name,
    *,
    method: Annotated[str, typer.Option(help="auto for those that the labels allow, or one family")] = "auto",
    start: Annotated[
        str | None,
        typer.Option(help="RFC 3339; if not given, the breach that an alert fires on, or 30 days before the end"),
    ] = None,
    end: Annotated[str | None, typer.Option(help="RFC 3339; the newest matured prediction if not given")] = None,
    version: Annotated[str | None, typer.Option(help="only predictions of this model version")] = None,
    holdout: Annotated[
        float, typer.Option(help="share of the labels, the latest, that the gate judges on; 0: none", min=0.0, max=0.9)
    ] = HOLDOUT,
    document: Annotated[
        Path | None,
        typer.Option(help="a JSON file of a calibrator fitted elsewhere, to be judged instead", exists=True),
    ] = None,
    validation: Annotated[
        bool, typer.Option("--validation", help="on the events that were sent with `reference: true`")
    ] = False,
    promote: Annotated[
        bool | None, typer.Option(help="promote what passes, or not; by default as the model's `recalibration` says")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Refit now, judge on the latest labels, register what passes."""
    asked = manual.Asked(
        method=method,
        start=start,
        end=end,
        version=version,
        holdout=holdout,
        promote=promote,
        document=None if document is None else _object_in(document),
        source="validation" if validation else "live",
        dry_run=dry_run,
    )
    with _database() as database:
        outcome = manual.refit_now(database, model, asked, actor=_actor(), now=wall_clock())
    typer.echo(json_of(outcome) if as_json else _refitted(outcome))


def promote(
    model: Name,
    number: Annotated[int, typer.Argument(help="the version's number")],
    *,
    reason: Reason = BY_COMMAND,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put a version in service."""
    with _database() as database:
        moved = manual.promote(
            database, model, number, actor=_actor(), reason=reason, now=wall_clock(), dry_run=dry_run
        )
    typer.echo(json_of(moved) if as_json else _moved(model, moved))


def reject(
    model: Name,
    number: Annotated[int, typer.Argument(help="the version's number")],
    *,
    reason: Reason = BY_COMMAND,
    as_json: AsJson = False,
) -> None:
    """Reject a version that waits for a decision, or end its trial."""
    with _database() as database:
        moved = manual.reject(database, model, number, actor=_actor(), reason=reason, now=wall_clock())
    typer.echo(json_of(moved) if as_json else f"{version_name(number)} of {model} is rejected; what serves stays")


def rollback(model: Name, *, reason: Reason = BY_COMMAND, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Put back what the champion replaced."""
    with _database() as database:
        moved = manual.roll_back(database, model, actor=_actor(), reason=reason, now=wall_clock(), dry_run=dry_run)
    typer.echo(json_of(moved) if as_json else _moved(model, moved))


@contextmanager
def _database() -> Iterator[Database]:
    database = open_database(load())
    try:
        yield database
    finally:
        database.close()


def _actor() -> str:
    """Return the name of the user, for the audit log."""
    try:
        return f"command by {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"command by user {os.getuid()}"


def _object_in(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path} must hold a JSON object of method, task and parameters")
    return document


def _refitted(outcome: Refitted | Refused) -> str:
    if isinstance(outcome, Refitted):
        served = "promoted" if outcome.promoted else "registered, not in service"
        return f"{version_name(outcome.number)} ({outcome.method}): {served}\n{outcome.reason}"
    if isinstance(outcome.fitted, Fitted):
        held = f"\na person would have to decide: {outcome.held}" if outcome.held else ""
        return f"dry run: a calibrator ({outcome.fitted.method}) would be registered\n{outcome.reason}{held}"
    return f"refused: {outcome.reason}"


def _moved(model: str, moved: Moved) -> str:
    served = f"{model} is served by {version_name(moved.champion)}"
    if moved.difference is None:
        return served
    return f"dry run: {served} and would be by {version_name(moved.difference.after)}\n{_told(moved.difference)}"


def _told(difference: Difference) -> str:
    """Return the difference of two calibrators for reading."""
    names = f"o {version_name(difference.before)}   # {version_name(difference.after)}"
    lines = [names, plotted(difference.map)]
    if difference.mean_change is None:
        return "\n".join([*lines, "no recent traffic to compare on"])
    lines.append(
        f"of {difference.predictions} recent predictions: served values change by {difference.mean_change:.4f} on average, "
        f"by at most {difference.largest_change:.4f}"
    )
    return "\n".join([*lines, *map(_decision, difference.decisions)])


def _decision(impact: DecisionImpact) -> str:
    now, then = (_selected(side) for side in (impact.before, impact.after))
    kept = impact.threshold_same_volume
    same = "" if kept is None else f"; {kept:.4g} would select as many as now"
    return f"decision {impact.name} ({impact.rule}): {now} now, {then} then{same}"


def _selected(side: SelectedBy) -> str:
    if side.share is None or side.expected_precision is None:
        return "selects nothing"
    return f"selects {side.share:.1%} (expected precision {side.expected_precision:.1%})"
