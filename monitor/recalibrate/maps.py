"""Map of a calibrator as curves to draw, for every family."""

from collections.abc import Sequence
from typing import Annotated, Final

import numpy as np
from msgspec import Meta, Struct

from ..calibrators.estimator import Estimator
from ..calibrators.families import from_document
from ..store.calibrators import Calibrator, Fitted
from .difference import Floats, levels_served, shared_evenly

STEPS: Final = 100
AT: Final = np.arange(STEPS + 1) / STEPS
MIDDLE: Final = np.array([0.5])
DIGITS: Final = 6

MOST_CURVES: Final = 20
"""More curves cannot be told apart."""


class Curve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the map."""

    name: Annotated[str | None, Meta(description="the class; null where one line holds for all")]
    x: Annotated[list[float], Meta(description="from 0 to 1, rising")]
    y: list[float]


class CalibratorMap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The served value of each raw probability, or the served level of each stated level of a regression."""

    number: Annotated[int | None, Meta(description="null for no calibrator")]
    method: str
    curves: Annotated[
        list[Curve],
        Meta(
            description="one; of a model of several classes one per class where they differ, up to 20, those that change most: the "
            "probability of the class, the others sharing the rest evenly"
        ),
    ]
    x_label: str
    y_label: str


def map_of(fitted: Fitted, *, classes: Sequence[str] | None) -> CalibratorMap:
    """Return the map of a calibrator.

    Parameters
    ----------
    classes : the model's classes, which vectors need

    Examples
    --------
    >>> calibrator_map = map_of(Fitted(method="temperature", task="binary", parameters={"temperature": 2.0}), classes=None)
    >>> (curve,) = calibrator_map.curves
    >>> curve.x[90], curve.y[90]
    (0.9, 0.75)

    """
    calibrator = from_document(fitted.working_part)
    x_label, y_label = "raw probability", "served probability"
    if calibrator.task == "regression":
        x_label, y_label = "stated level", "level as served"
        curves = [_curve(None, levels_served(calibrator, AT))]
    elif calibrator.task == "multiclass":
        curves = _of_classes(calibrator, classes or ("0", "1"))
    else:
        curves = [_curve(None, calibrator.predict_proba(AT))]
    number = fitted.number if isinstance(fitted, Calibrator) else None
    return CalibratorMap(number=number, method=calibrator.method, curves=curves, x_label=x_label, y_label=y_label)


def _of_classes(calibrator: Estimator, classes: Sequence[str]) -> list[Curve]:
    """Return a curve for each class, or one where all are the same."""
    chosen = _most_changed(calibrator, len(classes)) if len(classes) > MOST_CURVES else range(len(classes))
    curves = [_curve(classes[k], shared_evenly(calibrator, AT, len(classes), k)) for k in chosen]
    same = all(curve.y == curves[0].y for curve in curves)
    return [_curve(None, np.array(curves[0].y))] if same else curves


def _most_changed(calibrator: Estimator, classes: int) -> list[int]:
    """Return the classes whose probability of a half changes most, in their order."""
    change = [abs(shared_evenly(calibrator, MIDDLE, classes, k)[0] - MIDDLE[0]) for k in range(classes)]
    return sorted(np.argsort(change)[-MOST_CURVES:].tolist())


def _curve(name: str | None, y: Floats) -> Curve:
    return Curve(name=name, x=AT.tolist(), y=y.round(DIGITS).tolist())
