"""A calibrator ready to serve: applied to a number, a vector, a distribution, an array or a collection of them."""

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

from ..calibrators.compiled import (
    compile_array,
    compile_distribution,
    compile_distributions,
    compile_scalar,
    compile_vector,
)
from ..calibrators.distributions import Distribution, ToDistribution
from ..calibrators.document import verify
from ..calibrators.errors import BadDocument
from ..calibrators.families import FAMILIES
from ..calibrators.singles import Failed, OfArray, ToProbability
from ..calibrators.vectors import ToProbabilities
from .distributions import Forecast, Served, applied, applied_to_arrays
from .plain import labelled, plain

T = TypeVar("T")


class Calibrated(NamedTuple, Generic[T]):
    """A calibrated value, the raw value and the version between them; `Client.log` takes it in place of a plain value."""

    value: T  # to serve
    raw: T  # as the model gave it
    version: int | None  # number of the calibrator; None without one
    event_id: str | None = None  # id to log the event under; None: `log` makes one


class Champion:
    """A calibrator ready to be applied, immutable."""

    def __init__(
        self,
        *,
        number: int | None,
        scalar: ToProbability | None = None,
        vector: ToProbabilities | None = None,
        distribution: ToDistribution | None = None,
        document: Any = None,
        per_class: bool = False,
    ) -> None:
        self.number = number  # None for identity
        self.scalar = scalar or _takes_all_classes
        self._vector = vector  # of a multiclass model
        self._distribution = distribution or _takes_probabilities  # of a regression
        self._many: Callable[[Any, Any], Any] | None = None
        self.document = document  # None for identity
        self.takes_vectors = vector is not None
        self._per_class = per_class  # parameters for each class, in the order of the names in its document
        self._classes: list[str] = (document["parameters"].get("classes") or []) if per_class else []
        self._array_form: OfArray | None = None

    def apply(self, value: Any, failed: Failed) -> Any:
        """Return a number, vector, array or collection calibrated; values that are no probabilities stay, and are reported to `failed`."""
        if _is_array(value):
            by_label = self._classes_of(value)
            return self._array(value, failed) if by_label is None else self._by_class(by_label, failed)
        if isinstance(value, Mapping):
            return self._by_class(value, failed)
        if isinstance(value, tuple):
            return tuple(self._entries(value, failed))
        if isinstance(value, list):
            return self._entries(value, failed)
        return _one(self.scalar, value, failed)

    def distribution(self, forecast: Forecast) -> Served:
        """Return a distribution calibrated, or many, given as arrays; raise ValueError for values that are none."""
        if not forecast.is_many:
            return applied(self._distribution, forecast)
        if self._many is None:
            self._many = compile_distributions(self.document or NO_CALIBRATOR)
        return applied_to_arrays(self._many, forecast)

    def _classes_of(self, value: Any) -> dict[Any, Any] | None:
        """Return a labelled series that holds the classes of one event as an object by class; None for any other array."""
        by_label = None if self._vector is None and self.document is not None else labelled(value)
        if by_label is None or self._vector is not None:
            return by_label
        return by_label if all(isinstance(label, str) for label in by_label) else None

    def _by_class(self, value: Mapping[Any, Any], failed: Failed) -> dict[Any, Any]:
        """Calibrate an object by class. Its order means nothing: parameters for each class go by the names in the document."""
        names = list(value)
        if self._per_class and not _is_nested(value.values()):
            names = self._classes
            if set(names) != set(value):
                failed(
                    ValueError(
                        f"the calibrator's classes are {', '.join(names) or 'not named'}: send these, or an array"
                    )
                )
                return dict(value)
        served = dict(zip(names, self._entries([value[name] for name in names], failed), strict=True))
        return {name: served[name] for name in value}

    def _entries(self, values: Any, failed: Failed) -> Any:
        """Calibrate a list: the classes of one event of a multiclass model, else one entry after the other."""
        if self._vector is None or _is_nested(values):
            return [self.apply(value, failed) for value in values]
        return _one_vector(self._vector, values, failed)

    def _array(self, array: Any, failed: Failed) -> Any:
        entries = _floats(array)
        rows = entries.ravel() if self._vector is None else entries.reshape(-1, entries.shape[-1])
        try:
            return self._whole_array(rows, failed).reshape(entries.shape)
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            failed(error)
            return entries.copy()

    def _whole_array(self, rows: Any, failed: Failed) -> Any:
        if self.document is None:
            return rows.copy()
        if self._array_form is None:
            self._array_form = compile_array(self.document)
        return self._array_form(rows, failed)


def _floats(array: Any) -> Any:
    """Return an array as floats; entries that mean no number, such as `pd.NA`, as NaN."""
    numpy = sys.modules["numpy"]
    try:
        return numpy.asarray(array, dtype=float)
    except (TypeError, ValueError):
        entries = numpy.asarray(array, dtype=object)
        return numpy.array([_float(entry) for entry in entries.ravel()]).reshape(entries.shape)


def _float(entry: Any) -> float:
    try:
        return float(entry)
    except (TypeError, ValueError):
        return math.nan


def _one(scalar: ToProbability, value: Any, failed: Failed) -> Any:
    try:
        return scalar(_number(value))
    except Exception as error:  # noqa: BLE001  nothing raises into serving code
        failed(error)
        return value


def _number(value: Any) -> float:
    """Return the number that a value means."""
    try:
        return float(value)
    except TypeError:
        return float(plain(value))


def _one_vector(vector: ToProbabilities, values: Any, failed: Failed) -> list[Any]:
    try:
        return vector([_number(value) for value in values])
    except Exception as error:  # noqa: BLE001  nothing raises into serving code
        failed(error)
        return list(values)


def _takes_all_classes(_p: float) -> float:
    raise TypeError("the calibrator takes the probabilities of all classes, not one")


def _takes_distributions(_p: float) -> float:
    raise TypeError("the calibrator takes distributions: call calibrated_distribution")


def _takes_probabilities(_raw: Distribution) -> Distribution:
    raise TypeError("the calibrator takes probabilities: call calibrate or calibrated")


def _same(p: float) -> float:
    return p


NO_CALIBRATOR: Final = {"method": "identity", "task": "regression", "parameters": {}}
IDENTITY: Final = Champion(number=None, scalar=_same, distribution=compile_distribution(NO_CALIBRATOR))


def load(document: Any, *, model: str) -> Champion:
    """Return the champion that a document of this model describes.

    Raises
    ------
    BadDocument
        for a document that does not verify, or belongs to another model.

    """
    checked = verify(document)
    if document["model"] != model:
        raise BadDocument("model", document["model"], f"it must be {model!r}")
    if checked.task == "regression":
        apply = compile_distribution(document)
        return Champion(number=document["number"], scalar=_takes_distributions, distribution=apply, document=document)
    multiclass = checked.task == "multiclass"
    return Champion(
        number=document["number"],
        scalar=None if multiclass else compile_scalar(document),
        vector=compile_vector(document) if multiclass else None,
        document=document,
        per_class=FAMILIES[checked.method].family.per_class,
    )


def _is_array(value: Any) -> bool:
    return "numpy" in sys.modules and hasattr(value, "__array__") and getattr(value, "shape", ()) != ()


def is_single(value: Any, *, vectors: bool) -> bool:
    """Return whether a value is of one event: a number, or the probabilities of all classes where calibrators take vectors."""
    if _is_array(value):
        return vectors and len(value.shape) == 1
    if isinstance(value, Mapping):
        return vectors and not _is_nested(value.values())
    if isinstance(value, list | tuple):
        return vectors and not _is_nested(value)
    return True


def _is_nested(values: Any) -> bool:
    return any(isinstance(value, list | tuple | Mapping) or _is_array(value) for value in values)
