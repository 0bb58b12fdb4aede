"""Estimator: what every family has in common, in scikit-learn's manner but without scikit-learn, and plain JSON."""

import sys
from inspect import signature
from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike

from .document import check
from .errors import BadDocument, NotFitted
from .parameters import SINGLE
from .rows import Floats, single_rows, vector_rows


class Calibrator:
    """What every family offers: `fit` learns parameters, `predict_proba` applies them, a document carries them.

    A family names its `method`, keeps the arguments of `__init__` unchanged under their names, and writes what it learned to attributes
    that end in `_`. It says how they become a document's parameters (`_parameters`) and come back (`_restore`).

    >>> from monitor.calibrators.platt import Platt
    >>> Platt(task="confidence")
    Platt(task='confidence')
    >>> Platt().set_params(task="confidence").get_params()
    {'task': 'confidence'}

    """

    method: ClassVar[str]
    learns: ClassVar[bool] = True
    task: str

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit on what the model said and what came true, and return itself."""
        raise NotImplementedError

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return calibrated probabilities."""
        raise NotImplementedError

    def _parameters(self) -> dict[str, Any]:
        """Return what was learned as a document's parameters."""
        raise NotImplementedError

    def _restore(self, parameters: dict[str, Any]) -> None:
        """Take what was learned from a document's parameters, which were checked."""
        raise NotImplementedError

    def _rows(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Floats, Any, Floats]:  # noqa: N803
        """Return the rows to fit on, checked, and remember how many numbers each has."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if self.task == "multiclass":
            rows = vector_rows(X, y, sample_weight, logits=getattr(self, "logits", False))
            self.n_features_in_ = rows[0].shape[1]
            return rows
        self.n_features_in_ = 1
        return single_rows(X, y, sample_weight)

    def to_document(self) -> dict[str, Any]:
        """Return the fitted calibrator as plain JSON: `{"method", "task", "parameters"}`.

        Raises
        ------
        NotFitted
            before `fit`.

        """
        self.check_fitted()
        return check({"method": self.method, "task": self.task, "parameters": self._parameters()})._asdict()

    @classmethod
    def from_document(cls, document: Any, **settings: Any) -> Self:
        """Return the fitted calibrator that a document describes, made with further settings of `__init__`.

        Raises
        ------
        BadDocument
            when the document is not valid, or of another method.

        """
        method, task, parameters = check(document)
        if method != cls.method:
            raise BadDocument("method", method, f"{cls.__name__} reads {cls.method}")
        restored = cls(task=task, **settings)  # type: ignore[call-arg]  # every family takes its task
        if task in SINGLE:
            restored.n_features_in_ = 1
        restored._restore(parameters)
        return restored

    def check_fitted(self) -> None:
        """Raise NotFitted unless `fit` or `from_document` went before."""
        if not self.__sklearn_is_fitted__():
            raise _not_fitted()(f"this {type(self).__name__} is not fitted: call fit first")

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002  scikit-learn's signature
        """Return the settings that `__init__` was given."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self, **settings: Any) -> Self:
        """Change settings of `__init__`.

        Raises
        ------
        ValueError
            for a setting that this family does not have.

        """
        known = self.get_params()
        for name, value in settings.items():
            if name not in known:
                raise ValueError(f"{name!r} is no setting of {type(self).__name__}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = signature(type(self)).parameters
        changed = {name: value for name, value in self.get_params().items() if value != defaults[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def __sklearn_is_fitted__(self) -> bool:
        return not self.learns or any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of an estimator; only scikit-learn calls it, so only here is it imported."""
        from sklearn.utils import InputTags, Tags, TargetTags  # noqa: PLC0415

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=True),
            input_tags=InputTags(one_d_array=False, two_d_array=True),
            requires_fit=self.learns,
        )


def _not_fitted() -> type[NotFitted]:
    """Return the error, which is scikit-learn's too where someone who has imported scikit-learn may catch that."""
    theirs = sys.modules.get("sklearn.exceptions")
    return NotFitted if theirs is None else type("NotFitted", (NotFitted, theirs.NotFittedError), {})
