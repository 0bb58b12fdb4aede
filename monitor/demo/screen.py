"""Show the story live on a terminal, line by line anywhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from .answers import Figures
from .story import MODEL, THRESHOLD, WINDOW, Period, Plan, Sight

MOODS: Final = {"": "", "good": "green", "bad": "bold red", "shift": "yellow"}
GAUGE: Final = 44
"""Length of a bar in characters."""
GAUGE_TOP: Final = 0.3
"""The value at the end of a bar."""


class Screen:
    """Shows the story on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._progress = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(bar_width=GAUGE), TextColumn("{task.fields[at]}")
        )
        self._days = self._progress.add_task("event time", total=1.0, at="")

    def say(self, line: str | Text | Table = "") -> None:
        """Print a line."""
        self.console.print(line, highlight=False)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show that a step goes on, and then that it is done."""
        with self.console.status(what):
            yield
        self.say(Text.assemble(("✓ ", "green"), what))

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the state while the block runs; only on a terminal."""
        if not self.console.is_terminal:
            yield
            return
        with Live(Text(""), console=self.console, refresh_per_second=8) as self._live:
            yield
        self._live = None

    def tell(self, at: datetime, what: str, mood: str = "") -> None:
        """Print an event of the story."""
        line = Table.grid(padding=(0, 2))
        line.add_row(Text(f"{at:%b %d %H:%M}", style="dim"), Text(what, style=MOODS[mood]))
        self.say(line)

    def show(self, sight: Sight, plan: Plan) -> None:
        """Draw the state."""
        if self._live is None:
            return
        done = min(1.0, (sight.at - plan.start) / (plan.end - plan.start))
        self._progress.update(self._days, completed=done, at=f"{sight.at:%b %d %H:%M}")
        title = f"model {MODEL}: the last {WINDOW} whose labels have matured"
        self._live.update(
            Panel(Group(self._progress, Text(""), _gauges(sight.figures), Text(""), _facts(sight)), title=title)
        )

    def compare(self, periods: list[Period]) -> None:
        """Print the figures of several periods as a table."""
        table = Table(title="What was served", title_justify="left", title_style="bold", box=None, padding=(0, 0, 0, 1))
        table.add_column("", no_wrap=True)
        for name in ("labels", "accuracy", "confidence", "ECE", "noise", "Brier", "log loss"):
            table.add_column(name, justify="right", no_wrap=True)
        for period in periods:
            table.add_row(period.name, *_row(period.figures))
        self.say()
        self.console.print(table)
        self.say(Text("noise: the ECE that chance alone gives a calibrated model with so many labels", style="dim"))


def _gauges(figures: Figures) -> Table:
    grid = Table.grid(padding=(0, 1))
    ece, bound = figures.ece, figures.ece_lower_bound
    grid.add_row(Text("ECE", style="bold"), _bar(ece), _number(ece), "")
    grid.add_row("lower bound", _bar(bound), _number(bound), Text(f"alert above {THRESHOLD:g}", style="dim"))
    for name, share in (("confidence", figures.mean_confidence), ("right", figures.accuracy)):
        grid.add_row(name, _bar(share, top=1.0, limit=None), _share(share))
    return grid


def _bar(value: float | None, *, top: float = GAUGE_TOP, limit: float | None = THRESHOLD) -> Text:
    """Return a bar as long as the value, with a mark at the limit."""
    length = 0 if value is None else round(GAUGE * min(max(value / top, 0.0), 1.0))
    colour = "cyan" if limit is None else "red" if value is not None and value > limit else "green"
    bar = Text("━" * length, style=colour) + Text("─" * (GAUGE - length), style="bright_black")
    if limit is None:
        return bar
    mark = round(GAUGE * limit / top)
    return bar[:mark] + Text("┃", style="bold yellow") + bar[mark + 1 :]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{max(value, 0.0):.3f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _facts(sight: Sight) -> Table:
    state = sight.state.state
    mood = MOODS["bad"] if state == "miscalibrated" else "bold green"
    grid = Table.grid(padding=(0, 3))
    grid.add_row(
        Text.assemble("state ", (state.replace("_", " "), mood)),
        Text.assemble("calibrator ", ("none" if sight.champion is None else str(sight.champion), "bold")),
        f"{sight.state.predictions:,} predictions",
        f"{sight.state.labelled:,} labels",
    )
    return grid


def _row(figures: Figures | None) -> tuple[str, ...]:
    if figures is None:
        return ("-",) * 7
    return (
        f"{figures.labelled:,}",
        _share(figures.accuracy),
        _share(figures.mean_confidence),
        _number(figures.ece),
        _number(figures.ece_null_mean),
        _number(figures.brier),
        _number(figures.log_loss),
    )
