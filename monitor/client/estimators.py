"""An estimator in scikit-learn's manner that serves calibrated probabilities and logs them.

Nothing of scikit-learn is imported before `fit`, `clone` or one of its own functions asks for it; estimators of other packages will do
that have `predict_proba` and `classes_`.
"""

import copy
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple, Self

from ..domain.errors import BadInput
from .champion import Calibrated
from .client import Client
from .ids import EventId
from .plain import class_name

Segments = Mapping[str, str | int | bool]


class Predictions(NamedTuple):
    """What `CalibratedModel.serve` returns, one row or entry per row of X."""

    probabilities: Any  # calibrated; array of shape (n, k), classes in the order of `classes_`
    event_ids: list[str]  # under which they were logged; empty where an id was unusable


class CalibratedModel:
    """An estimator whose `predict_proba` is calibrated by the champion in service and logged, one event per row.

    Parameters
    ----------
    estimator : a classifier with `predict_proba`, fitted or to be fitted by `fit`
    client : logs the events and applies the calibrator; clones share it

    Examples
    --------
    >>> from calwatch import Client
    >>> class Constant:  # in place of an estimator of scikit-learn
    ...     classes_ = ["stays", "leaves"]
    ...
    ...     def predict_proba(self, X):
    ...         return [[0.75, 0.25] for _ in X]
    >>> with Client("http://127.0.0.1:9", "churn", timeout=0.1) as client:  # nobody listens there
    ...     model = CalibratedModel(Constant(), client)
    ...     model.predict_proba([[1.0], [2.0]], event_ids=["a", "b"]).tolist()
    [[0.75, 0.25], [0.75, 0.25]]

    """

    def __init__(self, estimator: Any, client: Client) -> None:
        self.estimator = estimator
        self.client = client

    def fit(self, X: Any, y: Any, **parameters: Any) -> Self:
        """Fit a clone of the estimator, which serves from then on."""
        self.estimator_ = _clone(self.estimator).fit(X, y, **parameters)
        return self

    def predict_proba(
        self,
        X: Any,
        *,
        event_ids: Iterable[EventId] | None = None,
        segments: Iterable[Segments | None] | None = None,
    ) -> Any:
        """Return calibrated probabilities of shape (n, k), and log them as `serve` does."""
        return self.serve(X, event_ids=event_ids, segments=segments).probabilities

    def serve(
        self,
        X: Any,
        *,
        event_ids: Iterable[EventId] | None = None,
        segments: Iterable[Segments | None] | None = None,
    ) -> Predictions:
        """Calibrate and log the probabilities of each row; return them with the events' ids.

        With two classes an event has the `probability` of the second, else the `probabilities` of all by name. Calibrator, canary and raw
        values are those of `Client.calibrated`.

        Parameters
        ----------
        X : n rows, as the estimator takes them
        event_ids : n ids, which labels take; by default new ones
        segments : n objects, by which parts of the traffic are compared

        Raises
        ------
        BadInput
            when there are not n ids or segments, or the estimator predicts several outputs. Faults of single events are counted and
            warned of, as by `Client.log`.

        """
        raw = self._raw(X)
        ids = _column("event_ids", event_ids, len(raw))
        parts = _column("segments", segments, len(raw))
        form = _Binary() if raw.shape[1] == 2 else _Multiclass(self.classes_)  # noqa: PLR2004 - two classes
        served = raw.copy()
        for place, (row, event_id, part) in enumerate(zip(raw.tolist(), ids, parts, strict=True)):
            result = self.client.calibrated(form.of_row(row), event_id)
            ids[place] = form.log(self.client, result, event_id, part)
            served[place] = form.to_row(result.value)
        return Predictions(served, ids)

    def predict(self, X: Any) -> Any:
        """Return the class of the highest calibrated probability for each row; this logs nothing."""
        raw = self._raw(X)
        form = _Binary() if raw.shape[1] == 2 else _Multiclass(self.classes_)  # noqa: PLR2004 - two classes
        served = [form.to_row(self.client.calibrate(form.of_row(row))) for row in raw.tolist()]
        numpy = import_module("numpy")
        return numpy.asarray(self.classes_)[numpy.reshape(served, raw.shape).argmax(axis=1)]

    def score(self, X: Any, y: Any) -> float:
        """Return the accuracy of `predict`."""
        return float((self.predict(X) == import_module("numpy").asarray(y)).mean())

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn's signature
        """Return the parameters, and those of the estimator as `estimator__NAME`."""
        own = {"estimator": self.estimator, "client": self.client}
        if not deep or not hasattr(self.estimator, "get_params"):
            return own
        return own | {f"estimator__{name}": value for name, value in self.estimator.get_params(deep=True).items()}

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by the names of `get_params`."""
        for name in parameters.keys() & {"estimator", "client"}:
            setattr(self, name, parameters[name])
        nested = {name: value for name, value in parameters.items() if name not in {"estimator", "client"}}
        for name in nested:
            if not name.startswith("estimator__"):
                raise BadInput("parameter", name, "it must be estimator, client or estimator__NAME")
        if nested:
            self.estimator.set_params(**{name.removeprefix("estimator__"): value for name, value in nested.items()})
        return self

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the estimator, such as `classes_`."""
        if name.startswith("_") or name in {"estimator", "estimator_", "client"}:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._serving, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(estimator={self.estimator!r})"

    def __sklearn_clone__(self) -> Self:
        return type(self)(_clone(self.estimator), self.client)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self._serving, "classes_")

    def __sklearn_tags__(self) -> Any:
        return self.estimator.__sklearn_tags__()

    @property
    def _estimator_type(self) -> Any:  # what scikit-learn before 1.6 looks at
        return getattr(self.estimator, "_estimator_type", "classifier")

    @property
    def _serving(self) -> Any:
        return self.__dict__.get("estimator_", self.estimator)

    def _raw(self, X: Any) -> Any:
        """Return the estimator's own probabilities as an array of shape (n, k)."""
        raw = import_module("numpy").asarray(self._serving.predict_proba(X), dtype=float)
        if raw.ndim != 2:  # noqa: PLR2004 - rows and classes
            raise BadInput("estimator", self.estimator, "it must predict one output, of two classes or more")
        return raw


class _Binary:
    """Rows of two classes, of which the second one's probability is the event."""

    def of_row(self, row: list[float]) -> float:
        return row[1]

    def to_row(self, value: Any) -> list[float]:
        return [1.0 - value, value]

    def log(self, client: Client, result: Calibrated[Any], event_id: EventId | None, segments: Segments | None) -> str:
        return client.log(event_id, probability=result, segments=segments)


class _Multiclass:
    """Rows of several classes, by name: no order of classes that the server knows is asked for."""

    def __init__(self, classes: Iterable[Any]) -> None:
        self._names = [class_name(name) for name in classes]

    def of_row(self, row: list[float]) -> dict[str, float]:
        return dict(zip(self._names, row, strict=True))

    def to_row(self, value: Any) -> list[float]:
        return [value[name] for name in self._names]

    def log(self, client: Client, result: Calibrated[Any], event_id: EventId | None, segments: Segments | None) -> str:
        return client.log(event_id, probabilities=result, segments=segments)


def _column(name: str, values: Iterable[Any] | None, rows: int) -> list[Any]:
    column = [None] * rows if values is None else list(values)
    if len(column) != rows:
        raise BadInput(name, len(column), f"it must have one entry for each of the {rows} rows")
    return column


def _clone(estimator: Any) -> Any:
    """Return an unfitted estimator of the same parameters."""
    if hasattr(estimator, "get_params"):
        return import_module("sklearn.base").clone(estimator)
    return copy.deepcopy(estimator)
