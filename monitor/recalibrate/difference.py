"""Difference of two calibrators: their maps side by side, and the change of recent traffic."""

from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct, structs
from numpy.typing import NDArray
from scipy.special import ndtri
from sqlalchemy import Connection

from ..calibrators.distribution_rows import completed_ranks, groups
from ..calibrators.distributions import RAREST, Distribution
from ..calibrators.estimator import Estimator
from ..calibrators.families import from_document
from ..domain.quantities import Count, Ratio
from ..domain.settings import Model
from ..store.calibrators import Fitted
from ..store.impact import DecisionImpact
from ..windows.clock import Clocked, clocked
from ..windows.ranges import widened
from ..windows.rows import of_version
from ..windows.sums import of_series
from . import decisions
from .naming import calibrator_of

STEPS: Final = 100

Floats = NDArray[np.float64]


class MapPoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A raw probability as two calibrators serve it."""

    probability: Ratio
    before: Ratio
    after: Ratio


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The change from one calibrator to another."""

    map: Annotated[
        list[MapPoint],
        Meta(
            description="of vectors, from the confidence of the answer, where the other classes share the rest evenly"
        ),
    ]
    mean_change: Annotated[
        Ratio | None, Meta(description="mean absolute change of what recent traffic would be served")
    ]
    largest_change: Ratio | None
    predictions: Annotated[Count, Meta(description="of recent traffic, over the longest window")]


class Difference(Change, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two calibrators side by side."""

    before: Annotated[int | None, Meta(description="null for no calibrator")]
    after: int | None
    decisions: Annotated[
        list[DecisionImpact], Meta(description="of each declared decision, what it selects before and after")
    ]


def compared(connection: Connection, model: Model, before: int | None, after: int | None, now: int) -> Difference:
    """Return the difference of two versions on recent traffic; None stands for no calibrator.

    Raises
    ------
    NotFound
        for an unknown version.

    """
    clock = clocked(connection, model, now)
    one, other = (calibrator_of(connection, model, number) for number in (before, after))
    change = difference(
        one,
        other,
        task=model.task or "binary",
        classes=None if model.classes is None else len(model.classes),
        traffic=_traffic(connection, clock),
    )
    impact = decisions.impact_of(connection, clock, other, one, now=now)
    return Difference(before=before, after=after, decisions=impact, **structs.asdict(change))


def _traffic(connection: Connection, clock: Clocked) -> tuple[Floats, Floats]:
    """Return the raw probabilities of the longest window up to the newest prediction, and the number of predictions at each."""
    newest = clock.newest_end or 0
    start, end = widened(newest - clock.model.settings.longest_window, newest, clock.progress.minutes_from)
    cells = of_series(connection, clock.model, start, end, of_version(None)).cells("raw")
    some = cells.en > 0.0
    return np.clip(cells.esp[some] / cells.en[some], 0.0, 1.0), cells.en[some]


def difference(
    before: Fitted | None, after: Fitted | None, *, task: str, classes: int | None, traffic: tuple[Floats, Floats]
) -> Change:
    """Return the maps of two calibrators side by side, and the change of recent traffic.

    A map is from the raw probability; for vectors, from the raw confidence of the answer, the other classes sharing the rest evenly,
    averaged over which class is the answer; for distributions, from a level of a normal distribution to the served level.

    Parameters
    ----------
    before, after : None for no calibrator
    task : `binary`, `confidence`, `multiclass` or `regression`
    classes : the number of classes, for vectors
    traffic : raw probabilities and the number of predictions at each, arrays of shape (m,)

    Examples
    --------
    >>> halved = Fitted(method="temperature", task="binary", parameters={"temperature": 2.0})
    >>> change = difference(None, halved, task="binary", classes=None, traffic=(np.array([0.9, 0.5]), np.array([1.0, 3.0])))
    >>> change.map[90]
    MapPoint(probability=0.9, before=0.9, after=0.75)
    >>> change.mean_change, change.largest_change, change.predictions
    (0.0375, 0.15, 4)

    """
    at = np.arange(STEPS + 1) / STEPS
    if task == "multiclass":
        at = at[at >= 1.0 / (classes or 2)]  # a smaller one is never the answer's
    curves = [_applied(fitted, at, task, classes) for fitted in (before, after)]
    p, n = traffic
    change = np.abs(_applied(after, p, task, classes) - _applied(before, p, task, classes))
    served = n > 0.0
    return Change(
        map=[
            MapPoint(probability=float(x), before=float(one), after=float(other))
            for x, one, other in zip(at, *curves, strict=True)
        ],
        mean_change=round(float(n @ change / n.sum()), 9) if served.any() else None,
        largest_change=round(float(change[served].max()), 9) if served.any() else None,
        predictions=round(float(n.sum())),
    )


def _applied(fitted: Fitted | None, p: Floats, task: str, classes: int | None) -> Floats:
    if fitted is None or not len(p):
        return p
    calibrator = from_document(fitted.working_part)
    if task == "regression":
        return levels_served(calibrator, p)
    if task != "multiclass":
        return calibrator.predict_proba(p)
    count = classes or 2
    return np.asarray(np.mean([shared_evenly(calibrator, p, count, answer) for answer in range(count)], axis=0))


def levels_served(calibrator: Estimator, levels: Floats) -> Floats:
    """Return the served levels of a normal distribution's quantiles at stated levels; shape (m,)."""
    (served,) = calibrator.predict_proba(np.array([Distribution((), (0.0, 1.0))], dtype=object))
    (group,) = groups(np.repeat(np.array([served], dtype=object), len(levels)))
    return completed_ranks(group, ndtri(np.clip(levels, RAREST, 1.0 - RAREST)))


def shared_evenly(calibrator: Estimator, p: Floats, classes: int, chosen: int) -> Floats:
    """Return the served probabilities of one class, the others sharing the rest evenly; shape (m,)."""
    vectors = np.repeat(((1.0 - p) / (classes - 1))[:, None], classes, axis=1)
    vectors[:, chosen] = p
    return np.asarray(calibrator.predict_proba(vectors)[:, chosen])
