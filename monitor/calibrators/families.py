"""The families of calibrators by their method's name: the one place that turns a name or a document into an object."""

from inspect import signature
from typing import Any, Final

from .beta import Beta
from .document import check
from .estimator import Calibrator
from .identity import Identity
from .isotonic import Isotonic
from .parameters import PARAMETERS, TASKS
from .pit_isotonic import PitIsotonic
from .platt import Platt
from .quadratic import QuadraticLogit
from .scaling_binning import ScalingBinning
from .structured_vector import StructuredVector
from .temperature import Temperature
from .variance_scaling import VarianceScaling
from .vector import Vector

FAMILIES: Final[dict[str, type[Calibrator]]] = {
    family.method: family
    for family in (
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


def make(method: str, *, task: str, classes: int | None = None, logits: bool = False) -> Calibrator:
    """Return an unfitted calibrator.

    Parameters
    ----------
    method : a key of FAMILIES
    task : `binary`, `confidence` or `multiclass`
    classes : the number of classes, where known
    logits : rows will be logits instead of probabilities (multiclass only)

    Raises
    ------
    ValueError
        for an unknown method or task, or a method that can't calibrate this task.

    Examples
    --------
    >>> make("platt", task="binary").fit([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1]).method
    'platt'

    """
    if method not in FAMILIES:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(FAMILIES)}")
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; it must be one of {', '.join(TASKS)}")
    if task not in PARAMETERS[method].tasks:
        raise ValueError(f"task is {task!r}; {method} calibrates {' and '.join(PARAMETERS[method].tasks)}")
    if logits and task != "multiclass":
        raise ValueError(f"logits go with the multiclass task, not with {task!r}")
    settings = {"task": task, "classes": classes, "logits": logits}
    taken = signature(FAMILIES[method]).parameters
    return FAMILIES[method](**{name: value for name, value in settings.items() if name in taken})


def from_document(document: Any, *, logits: bool = False) -> Calibrator:
    """Return the fitted calibrator that a document describes; a sealed one is held against its hash.

    Raises
    ------
    BadDocument
        when the document is not valid.

    Examples
    --------
    >>> halved = from_document({"method": "temperature", "task": "binary", "parameters": {"temperature": 2.0}})
    >>> halved.predict_proba([0.9]).round(6).tolist()
    [0.75]

    """
    checked = check(document)
    family = FAMILIES[checked.method]
    if not logits:
        return family.from_document(document)
    if checked.task != "multiclass":
        raise ValueError(f"logits go with the multiclass task, not with {checked.task!r}")
    return family.from_document(document, logits=True)
