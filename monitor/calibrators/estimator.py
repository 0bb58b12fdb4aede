"""The base of every family, in scikit-learn's manner but without scikit-learn, and plain JSON."""

import sys
from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar, Self

from .errors import BadDocument, NotFitted
from .family import SINGLE, Family
from .hashing import Fitted
from .numeric import ArrayLike, Floats
from .rows import confidences, log_scores, single_rows, vector_rows, vectors
from .singles import in_pieces


class Estimator:
    """Base of all families: `fit` learns parameters, `predict_proba` applies them, a document carries them.

    A family describes itself as `family`, keeps the arguments of `__init__` unchanged under their names, and keeps fitted parameters as
    attributes that end in `_`. `_parameters` makes a document's parameters of these, and `_restore` these of a document's.

    >>> from calwatch.calibrators.platt import Platt
    >>> Platt(task="confidence")
    Platt(task='confidence')
    >>> Platt().set_params(task="confidence").get_params()
    {'task': 'confidence'}

    """

    family: ClassVar[Family[Any]]
    learns: ClassVar[bool] = True
    task: str
    class_names_: list[str] | None = None
    """Names of the classes in the order of the parameters, where a document has some for each class and names them."""

    @property
    def method(self) -> str:
        """The family's name in documents."""
        return self.family.method

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the parameters to predictions and labels, and return itself."""
        raise NotImplementedError

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return calibrated probabilities, by the array form that serves the family's documents.

        Parameters
        ----------
        X : array of shape (n,), probabilities; multiclass: of shape (n, K), probabilities or logits

        Returns
        -------
        Array of the same shape; rows of vectors sum to 1

        Raises
        ------
        NotFitted
            before `fit`.
        ValueError
            for numbers that are no probabilities, and vectors of another number of classes than fitted on.

        """
        self.check_fitted()
        parameters, family = self._parameters(), self.family
        if self.task != "multiclass":
            return in_pieces(family.singles.array(parameters))(confidences(X))
        if getattr(self, "logits", False):
            return family.vectors.array_of_logits(parameters)(log_scores(X, logits=True))
        return family.vectors.array(parameters)(vectors(X))

    def _parameters(self) -> Mapping[str, object]:
        """Return the fitted parameters as a document's."""
        raise NotImplementedError

    def _restore(self, parameters: Any) -> None:
        """Take the fitted parameters from a document's, which are checked."""
        raise NotImplementedError

    def _rows(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Floats, Any, Floats]:
        """Return checked rows to fit on, and keep their number of features."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        if self.task == "multiclass":
            rows = vector_rows(X, y, sample_weight, logits=getattr(self, "logits", False))
            self.n_features_in_ = rows[0].shape[1]
            return rows
        self.n_features_in_ = 1
        return single_rows(X, y, sample_weight)

    def to_document(self) -> Fitted:
        """Return the fitted calibrator as plain JSON: `{"method", "task", "parameters"}`.

        Raises
        ------
        NotFitted
            before `fit`.

        """
        self.check_fitted()
        return self.family.checked({"task": self.task, "parameters": self._parameters()}).as_document()

    @classmethod
    def from_document(cls, document: Mapping[str, Any], **settings: Any) -> Self:
        """Return the fitted calibrator that a document describes, made with further settings of `__init__`.

        Raises
        ------
        BadDocument
            for an invalid document, or one of another method.

        """
        if document.get("method") != cls.family.method:
            raise BadDocument("method", document.get("method"), f"{cls.__name__} reads {cls.family.method}")
        _, task, parameters = cls.family.checked(document)
        restored = cls(task=task, **settings)  # type: ignore[call-arg]  # every family takes its task
        if task in SINGLE:
            restored.n_features_in_ = 1
        restored._restore(parameters)
        return restored

    def check_fitted(self) -> None:
        """Raise NotFitted before `fit` or `from_document`."""
        if not self.__sklearn_is_fitted__():
            raise _not_fitted()(f"this {type(self).__name__} is not fitted: call fit first")

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002  scikit-learn's signature
        """Return the settings of `__init__`."""
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
        """Return scikit-learn's description of an estimator."""
        # Only scikit-learn calls this.
        from sklearn.utils import InputTags, Tags, TargetTags  # noqa: PLC0415  only scikit-learn asks for them

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=True),
            input_tags=InputTags(one_d_array=False, two_d_array=True),
            requires_fit=self.learns,
        )


def _not_fitted() -> type[NotFitted]:
    """Return the error, which is scikit-learn's too once scikit-learn is imported, since callers may catch that."""
    theirs = sys.modules.get("sklearn.exceptions")
    return NotFitted if theirs is None else type("NotFitted", (NotFitted, theirs.NotFittedError), {})
