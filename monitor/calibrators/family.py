"""A family of calibrators: its name, tasks, check of parameters, forms for one prediction and for arrays, and rung on the ladder.

A new family is one file, which holds its estimator and this record, and one line in `families`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from .distributions import NO_DISTRIBUTIONS, Distributions
from .errors import BadDocument
from .hashing import Checked, Json, check_hash
from .singles import NO_SINGLES, Singles
from .vectors import NO_VECTORS, Vectors

SINGLE: Final = ("binary", "confidence")
"""Tasks whose events carry one probability."""
TASKS: Final = ("binary", "multiclass", "confidence", "regression")
TWO_CLASSES: Final = 2

P = TypeVar("P", bound=Mapping[str, object])
"""Checked parameters of one family, a TypedDict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(Generic[P]):
    """All that the rest of the program knows of a family, apart from how it is fitted."""

    method: str  # its name in documents
    sentence: str  # the map, in a few words
    parameters: str  # the parameters of its documents, as the API describes them
    check: Callable[
        [Mapping[str, object], str], P
    ]  # parameters and task → parameters with every number in its one form
    singles: Singles[P] = NO_SINGLES  # forms for binary and confidence
    vectors: Vectors[P] = NO_VECTORS  # for multiclass
    distributions: Distributions[P] = NO_DISTRIBUTIONS  # for regression

    tried_from: int | None = None  # labels from which a refit tries it by itself; None: only by name
    two_classes: bool = False  # a refit by itself tries it on top-label confidences of two classes alone
    curve: bool = False  # it bends the line that a temperature or Platt scaling draws on the logit
    per_class: bool = False  # it has parameters for each class

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it calibrates."""
        single = self.singles is not NO_SINGLES
        calibrates = {
            "binary": single,
            "multiclass": self.vectors is not NO_VECTORS,
            "confidence": single,
            "regression": self.distributions is not NO_DISTRIBUTIONS,
        }
        return tuple(task for task in TASKS if calibrates[task])

    def is_tried(self, task: str, labels: int, classes: int | None) -> bool:
        """Return whether a refit tries the family by itself, given the number of labels and of classes, where known."""
        if task not in self.tasks or self.tried_from is None or labels < self.tried_from:
            return False
        return task != "confidence" or not self.two_classes or classes == TWO_CLASSES

    def checked(self, document: Mapping[str, Any]) -> Checked:
        """Return the working part of a document of this method; hold it against its hash, where it has one.

        Raises
        ------
        BadDocument
            for a task that the family cannot calibrate, invalid parameters, or another hash.

        """
        task, parameters = one_of(document, "task", TASKS), document.get("parameters")
        if task not in self.tasks:
            raise BadDocument("task", task, f"{self.method} calibrates {' and '.join(self.tasks)}")
        if not isinstance(parameters, Mapping):
            raise BadDocument("parameters", parameters, "it must be an object")
        # A TypedDict of numbers, lists and names, which the type checker does not take for a mapping of them.
        checked = Checked(self.method, task, cast("Mapping[str, Json]", self.check(parameters, task)))
        if "sha256" in document:
            check_hash(document, checked)
        return checked


def one_of(document: Mapping[str, Any], field: str, allowed: Any) -> str:
    """Return a document's field; raise BadDocument unless it is one of those allowed."""
    value = document.get(field)
    if not isinstance(value, str) or value not in allowed:
        raise BadDocument(field, value, f"it must be one of {', '.join(allowed)}")
    return value
