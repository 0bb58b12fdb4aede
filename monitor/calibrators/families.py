"""Families of calibrators by method, one line each. Documents, their functions, the ladder, the API and the command read this table.

A new family is a file with its estimator and its `Family`, a line here, and its test.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any, Final

from .beta import Beta
from .errors import BadDocument
from .estimator import Estimator
from .family import TASKS, one_of
from .identity import Identity
from .isotonic import Isotonic
from .pit_isotonic import PitIsotonic
from .platt import Platt
from .quadratic import QuadraticLogit
from .scaling_binning import ScalingBinning
from .structured_vector import StructuredVector
from .temperature import Temperature
from .variance_scaling import VarianceScaling
from .vector import Vector

FAMILIES: Final[dict[str, type[Estimator]]] = {
    estimator.family.method: estimator
    for estimator in (
        Identity,
        Temperature,
        Platt,
        Beta,
        QuadraticLogit,
        ScalingBinning,
        Isotonic,
        StructuredVector,
        Vector,
        VarianceScaling,
        PitIsotonic,
    )
}
"""The simpler before the richer of one task, as a refit tries them."""


def make(method: str, *, task: str, classes: int | None = None, logits: bool = False) -> Estimator:
    """Return an unfitted calibrator.

    Parameters
    ----------
    method : a key of FAMILIES
    task : `binary`, `confidence`, `multiclass` or `regression`
    classes : the number of classes, where known
    logits : rows will be logits instead of probabilities (multiclass only)

    Raises
    ------
    ValueError
        for an unknown method or task, or a task that the method cannot calibrate.

    Examples
    --------
    >>> make("platt", task="binary").fit([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1]).method
    'platt'

    """
    if method not in FAMILIES:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(FAMILIES)}")
    estimator = FAMILIES[method]
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; it must be one of {', '.join(TASKS)}")
    if task not in estimator.family.tasks:
        raise ValueError(f"task is {task!r}; {method} calibrates {' and '.join(estimator.family.tasks)}")
    if logits and task != "multiclass":
        raise ValueError(f"logits go with the multiclass task, not with {task!r}")
    settings = {"task": task, "classes": classes, "logits": logits}
    accepted = signature(estimator).parameters
    return estimator(**{name: value for name, value in settings.items() if name in accepted})


def from_document(document: object, *, logits: bool = False) -> Estimator:
    """Return the fitted calibrator that a document describes; a sealed one is held against its hash.

    Parameters
    ----------
    document : `{"method", "task", "parameters"}`, sealed or not
    logits : rows will be logits instead of probabilities (multiclass only)

    Raises
    ------
    BadDocument
        for an invalid document.
    ValueError
        for logits of another task than multiclass.

    Examples
    --------
    >>> halved = from_document({"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}})
    >>> halved.predict_proba([0.9]).round(6).tolist()
    [0.75]

    """
    estimator, fields = of_document(document)
    calibrator = estimator.from_document(fields)
    if logits and calibrator.task != "multiclass":
        raise ValueError(f"logits go with the multiclass task, not with {calibrator.task!r}")
    return calibrator.set_params(logits=True) if logits else calibrator


def of_document(document: object) -> tuple[type[Estimator], Mapping[str, Any]]:
    """Return the estimator whose method a document names, and the document's fields, still unchecked.

    Raises
    ------
    BadDocument
        for a document that is no object, or an unknown method.

    """
    if not isinstance(document, Mapping):
        raise BadDocument("document", document, "it must be an object")
    return FAMILIES[one_of(document, "method", FAMILIES)], document
