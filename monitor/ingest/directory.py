"""Models as ingest knows them: read again when stale, made and settled by their first events."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..domain.errors import Unavailable
from ..domain.events import TASK_OF_FORM, Event, PredictionEvent, form_of
from ..domain.settings import Model, ModelSettings
from ..store import models
from ..store.engine import Database

FRESH_SECONDS: Final = 1.0
"""How long a replica trusts what it read of a model's task and classes,."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The task and classes of a model that is not stored yet."""

    task: str | None
    classes: tuple[str, ...] | None
    ordered: bool = True
    shorter: tuple[int, ...] = ()
    normalize: bool = False


class Directory:
    """The models by name: read again when stale, created on their first event."""

    def __init__(self, database: Database, now: Callable[[], int]) -> None:
        self._database = database
        self._now = now
        self._known: dict[str, tuple[float, Model]] = {}

    def find(self, name: str) -> Model | None:
        """Return a model, or None if it does not exist yet."""
        entry = self._known.get(name)
        if entry is not None and time.monotonic() - entry[0] < FRESH_SECONDS:
            return entry[1]
        with self._database.read() as connection:
            model = models.by_name(connection, name)
        if model is None:
            self._known.pop(name, None)
            return None
        self._known[name] = (time.monotonic(), model)
        return model

    def forget(self, name: str) -> None:
        """Read a model again the next time, after it was changed or deleted."""
        self._known.pop(name, None)

    def is_current(self, name: str) -> bool:
        """Return whether finding a model does not need the database."""
        entry = self._known.get(name)
        return entry is not None and time.monotonic() - entry[0] < FRESH_SECONDS

    def is_fresh(self, name: str) -> bool:
        """Return whether neither finding a model nor accepting its events needs the database."""
        return self.is_current(name) and self._known[name][1].accepted

    def settle(self, name: str, shape: Shape) -> Model:
        """Create a model, or note that its events are accepted; set the task and classes that it lacks; return the stored model."""
        with self._database.write() as connection:
            model = models.create(connection, name, task=None, classes=None, settings=ModelSettings(), now=self._now())
            models.accept(connection, model.id, task=shape.task, classes=shape.classes, ordered=shape.ordered)
            stored = models.by_name(connection, name)
        if stored is None:
            raise Unavailable(f"model {name} was deleted while it was being created")
        self._known[name] = (time.monotonic(), stored)
        return stored


def first_shapes(events: Sequence[Event], known: Callable[[str], Shape | Model | None]) -> dict[str, Shape]:
    """Return the task and classes that first predictions set for models without them."""
    shapes: dict[str, Shape] = {}
    for event in events:
        if event.model in shapes:
            continue
        stored = known(event.model)
        if stored is not None and stored.task is not None and not _lacks_classes(stored):
            continue
        if isinstance(event, PredictionEvent):
            shape = _shape_of(event)
            if stored is None or stored.task in {None, shape.task}:
                declared = None if stored is None else stored.classes
                shape = shape if declared is None else Shape(shape.task, declared)
                shapes[event.model] = shape if stored is None else replace(shape, normalize=stored.normalize)
    return shapes


def _completed(stored: Shape | Model, shape: Shape) -> Shape:
    return Shape(shape.task, stored.classes or shape.classes, stored.normalize)


def _lacks_classes(stored: Shape | Model) -> bool:
    return stored.task == "multiclass" and stored.classes is None


def _shape_of(event: PredictionEvent) -> Shape:
    vector = event.probabilities if event.probabilities is not None else event.logits
    task = TASK_OF_FORM[form_of(event)]
    if vector is None:
        return Shape(task, None)
    numbered = tuple(map(str, range(len(vector))))
    if isinstance(vector, dict) and vector.keys() != set(numbered):
        return Shape(task, tuple(sorted(vector)), ordered=False)
    return Shape(task, numbered)
