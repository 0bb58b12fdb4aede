"""Evaluations in answers: the fields of every evaluation, and one for each row of the figure tables."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, get_type_hints

from msgspec import Meta, Struct

from ..domain.evaluations import Curves, Evaluation, Flag, Levels, ScoresKind, Window
from ..domain.quantities import Count, Moment
from ..windows import regression, scores
from ..windows.figures import COUNT, Figure
from ..windows.value_maps import ValueMapping
from .schemas import Shape, with_fields


def with_figures(table: Iterable[Figure[Any]], *, listed: bool = False) -> Callable[[Shape], Shape]:
    """Return a decorator that gives a struct a field for each row of a table, or for those that are shown in lists."""
    chosen = [figure for figure in table if figure.listed or not listed]
    return with_fields(
        [(figure.name, Annotated[_type(figure), Meta(description=figure.sentence)]) for figure in chosen]
    )


def _type(figure: Figure[Any]) -> Any:
    return Count if figure.unit == COUNT else float | None


def with_parts(part: type[Struct], *names: str) -> Callable[[Shape], Shape]:
    """Return a decorator that gives a struct fields of another one, all of them by default."""
    hints = get_type_hints(part, include_extras=True)
    return with_fields([(name, hints[name]) for name in names or part.__struct_fields__])


HOURS: Final = (
    ("start", Annotated[Moment | None, Meta(description="of the hours that they lie in; null where there are none")]),
    ("end", Annotated[Moment | None, Meta(description="likewise")]),
)
"""The range of a validation set, which may be empty, in place of a window's."""


class Placed(Window, frozen=True, kw_only=True):
    """An evaluation with its model, segment and kind of scores."""

    model: str
    segment: Annotated[str, Meta(description="`key:value`, empty for the model as a whole")]
    scores: ScoresKind


@with_figures(scores.FIGURES)
class Stored(Placed, frozen=True, kw_only=True):
    """How well predictions of a range of time were calibrated. A figure that can't be computed is null."""


@with_parts(Flag)
class StoredSegment(Stored, frozen=True, kw_only=True):
    """A stored evaluation of a segment."""


@with_parts(Curves)
class EvaluationAnswer(Stored, frozen=True, kw_only=True):
    """How well predictions of a range of time were calibrated. A figure that can't be computed is null."""

    mapping: Annotated[
        ValueMapping | None,
        Meta(description="the newest of the version, or of any; null where values are probabilities"),
    ]


@with_fields(HOURS)
class ReferenceEvaluation(EvaluationAnswer, frozen=True, kw_only=True):
    """How well predictions of the validation set were calibrated. A figure that can't be computed is null."""


@with_figures(regression.FIGURES)
class StoredRegression(Placed, frozen=True, kw_only=True):
    """How well predictive distributions of a range of time were calibrated. A figure that can't be computed is null."""


@with_parts(Levels)
class RegressionEvaluation(StoredRegression, frozen=True, kw_only=True):
    """How well predictive distributions of a range of time were calibrated. A figure that can't be computed is null."""


@with_fields(HOURS)
class ReferenceRegression(RegressionEvaluation, frozen=True, kw_only=True):
    """How well predictive distributions of the validation set were calibrated. A figure that can't be computed is null."""


class History(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stored evaluations, oldest first; with `metric`, each is its end and that field."""

    evaluations: list[Stored | StoredSegment | StoredRegression | dict[str, Any]]


class Latest(Window, frozen=True, kw_only=True):
    """The most informative newest evaluation of a model, and its window."""

    window: str


@with_figures(scores.FIGURES, listed=True)
@with_parts(Curves, "reliability")
class Listed(Latest, frozen=True, kw_only=True):
    """The most informative newest evaluation of a model."""


@with_figures(regression.FIGURES, listed=True)
@with_parts(Levels, "pit", "coverage")
class ListedRegression(Latest, frozen=True, kw_only=True):
    """The most informative newest evaluation of a regression. Too narrow is overconfident, too wide underconfident."""


METRICS: Final = tuple(dict.fromkeys((*StoredSegment.__struct_fields__, *StoredRegression.__struct_fields__)))
"""Fields of stored evaluations, to one of which a history may be limited."""


def shown(evaluation: Evaluation, mapping: ValueMapping | None) -> dict[str, object]:
    """Return the answer for an evaluation, with the map that converts its values; a regression has no such values."""
    fields = evaluation.as_json()
    return fields if evaluation.curves is None else fields | {"mapping": mapping}


def listed(window: str, evaluation: Evaluation) -> Listed | ListedRegression:
    """Return the part of an evaluation that the list of models shows."""
    struct = Listed if evaluation.levels is None else ListedRegression
    fields = {"window": window, **evaluation.as_json()}
    chosen: dict[str, Any] = {name: fields.get(name) for name in struct.__struct_fields__}
    return struct(**chosen)
