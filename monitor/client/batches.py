"""Columns of a batch as the fields of single events: lists, arrays, series and data frames.

A column has one entry per event. Text, a number, a time or a truth value stands for all events.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import repeat
from typing import Any, Final, NamedTuple, TypedDict

from ..domain.errors import BadInput
from .champion import Calibrated
from .distributions import CalibratedDistribution
from .plain import DOUBLE, is_missing

BY_NAME: Final = {"probabilities", "logits", "raw_probabilities", "segments", "quantiles", "raw_quantiles"}
"""Fields that are objects: as a mapping or a data frame their columns are by class, level or segment."""


Row = dict[str, Any]
"""The fields of one event by name."""


class Columns(TypedDict, total=False):
    """Fields of `Client.log`, each a column or one value for all events."""

    probability: Any
    probabilities: Any
    logits: Any
    confidence: Any
    prediction: Any
    confidence_source: Any
    agreeing: Any
    samples: Any
    score: Any
    mean: Any
    std: Any
    quantiles: Any
    timestamp: Any
    segments: Any
    cluster: Any
    metadata: Any
    raw_probability: Any
    raw_probabilities: Any
    raw_confidence: Any
    raw_mean: Any
    raw_std: Any
    raw_quantiles: Any
    distribution: Any
    members: Any
    calibrator_version: Any
    reference: Any


class LabelColumns(TypedDict, total=False):
    """Fields of `Client.label`, each a column or one value for all labels."""

    timestamp: Any
    source: Any
    supersedes: Any
    model_version: Any


class Batch(NamedTuple):
    """The fields of events by name, all of one length but for those of one value."""

    columns: dict[str, list[Any]]
    constants: Row
    size: int

    def rows(self) -> Iterator[Row]:
        """Yield the fields of each event."""
        for values in zip(*self.columns.values(), strict=True) if self.columns else repeat((), self.size):
            yield dict(zip(self.columns, values, strict=True), **self.constants)


def batch_of(fields: Mapping[str, Any], *, needed: Iterable[str] = ()) -> Batch:
    """Return the columns and constants among fields; None is no field.

    Raises
    ------
    BadInput
        when columns differ in length, there is none, one can't be read, or a needed field is missing.

    """
    for name in needed:
        if fields[name] is None:
            raise BadInput(name, None, "it must be a column, one entry per event")
    read = {name: _read(name, value) for name, value in fields.items() if value is not None}
    columns = {name: value for name, value in read.items() if isinstance(value, list)}
    sizes = {name: len(column) for name, column in columns.items()}
    if len(set(sizes.values())) != 1:
        raise BadInput("batch", sizes, "its columns must have one length" if sizes else "it must have a column")
    constants = {name: value for name, value in read.items() if name not in columns}
    if "event_id" in constants:
        raise BadInput("event_id", constants["event_id"], "it must be a column of ids, one per event")
    return Batch(columns, constants, max(sizes.values()))


def longest(fields: Mapping[str, Any]) -> int:
    """Return the number of events that a batch which can't be read may have had."""
    return max((_size(value) for value in fields.values()), default=1)


def _size(value: Any) -> int:
    try:
        return 1 if isinstance(value, str | bytes | Mapping) else len(value)
    except Exception:  # noqa: BLE001 - whatever it is, it is one
        return 1


def _read(name: str, value: Any) -> Any:
    """Return a column as a list, or a value that stands for all events."""
    if isinstance(value, Calibrated):
        return _calibrated(name, value)
    if isinstance(value, CalibratedDistribution):
        return _distributions(value)
    if _is_frame(value):
        return _objects(name, _columns_of(name, value))
    if isinstance(value, Mapping):
        return _objects(name, value) if name in BY_NAME else value
    return _entries(name, value)


def _entries(name: str, value: Any) -> Any:
    if isinstance(value, str | bytes) or getattr(value, "shape", None) == ():
        return value
    if hasattr(value, "tolist"):
        return _listed(value)
    if hasattr(value, "__arrow_c_stream__"):
        return _native(name, value).to_list()
    return list(value) if isinstance(value, Iterable) else value


def _listed(value: Any) -> Any:
    """Return the entries of an array or a series, None where an array is masked."""
    if hasattr(value, "mask") and hasattr(value, "filled"):
        return list(value)  # `tolist` widens, `__array__` forgets the mask
    if _is_narrow(value) or _holds_times(value):
        return list(value.__array__())
    return value.tolist()


def _objects(name: str, columns: Mapping[Any, Any]) -> Any:
    """Return one object per event, or one for all where no column holds several values."""
    inner = {key: _entries(name, column) for key, column in columns.items()}
    sizes = {len(column) for column in inner.values() if isinstance(column, list)}
    if not sizes:
        return dict(columns)
    if len(sizes) != 1:
        raise BadInput(name, sorted(sizes), "its columns must have one length")
    (size,) = sizes
    values = (column if isinstance(column, list) else repeat(column, size) for column in inner.values())
    rows = [dict(zip(inner, row, strict=True)) for row in zip(*values, strict=True)]
    return [_filled(row) for row in rows] if name == "segments" else rows


def _filled(row: dict[Any, Any]) -> dict[Any, Any]:
    """Return a row of a table without its missing values."""
    return {key: value for key, value in row.items() if not is_missing(value)}


def _calibrated(name: str, result: Calibrated[Any]) -> list[Calibrated[Any]]:
    """Return the results of single events from that of many."""
    served, raw = _read(name, result.value), _read(name, result.raw)
    if not isinstance(served, list) or result.event_id is not None:
        raise BadInput(name, result, "it must be the result of many events: an array, or a list")
    return [Calibrated(*values, result.version) for values in zip(served, raw, strict=True)]


def _distributions(many: CalibratedDistribution) -> list[CalibratedDistribution]:
    """Return the distributions of single events from one of arrays."""
    fields = {name: value for name, value in many._asdict().items() if name not in {"version", "event_id"}}
    batch = batch_of({name: _quantiles(name, value) for name, value in fields.items()})
    missing: Row = dict.fromkeys(fields)
    return [CalibratedDistribution(**(missing | row), version=many.version) for row in batch.rows()]


def _quantiles(name: str, value: Any) -> Any:
    return _objects(name, value) if isinstance(value, Mapping) else value


def _is_narrow(value: Any) -> bool:
    """Return whether an array holds floats of fewer than 64 bits, which are read one by one."""
    dtype = getattr(value, "dtype", None)
    return getattr(dtype, "kind", None) == "f" and dtype.itemsize < DOUBLE  # type: ignore[union-attr]


def _holds_times(value: Any) -> bool:
    """Return whether an array holds times of NumPy, of which `tolist` may make plain numbers."""
    return getattr(getattr(value, "dtype", None), "kind", None) == "M" and not hasattr(value, "array")


def _is_frame(value: Any) -> bool:
    return hasattr(type(value), "columns")  # of a value it may be computed


def _columns_of(name: str, frame: Any) -> dict[Any, list[Any]]:
    return {column.name: column.to_list() for column in _native(name, frame).iter_columns()}


def _native(name: str, value: Any) -> Any:
    """Return a data frame or series of pandas, polars or pyarrow in one form."""
    try:
        narwhals = import_module("narwhals")
    except ModuleNotFoundError as error:
        raise BadInput(name, type(value).__name__, "data frames need: pip install 'calwatch[frames]'") from error
    try:
        return narwhals.from_native(value, eager_only=True, allow_series=True)
    except TypeError as error:
        raise BadInput(name, type(value).__name__, "it must be a data frame or series in memory") from error
