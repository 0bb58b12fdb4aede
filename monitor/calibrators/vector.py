"""Vector scaling: a slope and an intercept for each class, on the logarithms of its probabilities."""

import math
from collections.abc import Sequence
from typing import NotRequired, Self, TypedDict

from .errors import BadDocument, NotIdentified
from .estimator import Estimator
from .family import Family
from .multinomial import fit_lines, normal_logs, usable
from .numeric import ArrayLike, Floats, np
from .parameters import SMALLEST, STEEPEST, Unchecked, as_many, exactly, numbers_by_class
from .temperature import beta_of_vectors
from .vectors import (
    OfMatrix,
    ToProbabilities,
    Vectors,
    as_vector,
    check_logits,
    other_classes,
    softmax,
    softmax_rows,
)


class Parameters(TypedDict):
    """A slope and an intercept for each class, and the names of the classes in the same order."""

    slopes: list[float]
    intercepts: list[float]
    classes: NotRequired[list[str]]


def check(parameters: Unchecked, _task: str) -> Parameters:
    """Return the parameters of lines, every number in its one form; raise BadDocument where they are invalid."""
    named = {"classes"} & set(parameters)
    exactly(parameters, {"slopes", "intercepts"} | named)
    slopes = numbers_by_class(parameters, "slopes", 0.0)
    intercepts = numbers_by_class(parameters, "intercepts", -STEEPEST)
    as_many("intercepts", intercepts, "slopes", slopes)
    if 0.0 in slopes:
        place = slopes.index(0.0)
        raise BadDocument(f"parameters.slopes[{place}]", 0.0, "it must be positive, or this class's score says nothing")
    checked: Parameters = {"slopes": slopes, "intercepts": intercepts}
    if named:
        checked["classes"] = _class_names(parameters["classes"], len(slopes))
    return checked


def _class_names(names: object, count: int) -> list[str]:
    """Return the names of the classes, in the order of slopes, by which an object by class is read."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise BadDocument("parameters.classes", names, "it must be a list of names")
    if len(names) != count or len(set(names)) != count:
        raise BadDocument("parameters.classes", names, f"it must have {count} different names, as slopes has entries")
    return list(names)


def _of_vector(parameters: Parameters) -> ToProbabilities:
    slopes, intercepts = parameters["slopes"], parameters["intercepts"]
    classes, log, smallest = len(slopes), math.log, SMALLEST

    def apply(probabilities: Sequence[float]) -> list[float]:
        probabilities = as_vector(probabilities)
        if len(probabilities) != classes:
            raise other_classes(len(probabilities), classes)
        total = sum(probabilities)
        floor = max(smallest, smallest / total)
        logs = [log(p if p > floor else floor) for p in [p / total for p in probabilities]]  # noqa: FURB136  as in singles
        return softmax([a * log_p + b for a, log_p, b in zip(slopes, logs, intercepts, strict=True)], 1.0)

    return apply


def _of_logits(parameters: Parameters) -> ToProbabilities:
    of_vector, classes = _of_vector(parameters), len(parameters["slopes"])

    def apply(logits: Sequence[float]) -> list[float]:
        check_logits(logits)
        if len(logits) != classes:
            raise other_classes(len(logits), classes)
        return of_vector(softmax(logits, 1.0))

    return apply


def _of_matrix(parameters: Parameters) -> OfMatrix:
    slopes, intercepts = np.array(parameters["slopes"]), np.array(parameters["intercepts"])

    def apply(p: Floats) -> Floats:
        if p.shape[1] != len(slopes):
            raise other_classes(p.shape[1], len(slopes))
        total = p.sum(axis=1, keepdims=True)
        scores = p / total
        np.maximum(scores, np.maximum(SMALLEST, SMALLEST / total), out=scores)
        np.log(scores, out=scores)
        scores *= slopes
        scores += intercepts
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))

    return apply


def _of_scores(parameters: Parameters) -> OfMatrix:
    of_matrix = _of_matrix(parameters)
    return lambda scores: of_matrix(softmax_rows(scores))


LINES = Vectors(scalar=_of_vector, scalar_of_logits=_of_logits, array=_of_matrix, array_of_logits=_of_scores)
"""The forms of every family that has a line for each class."""


class Vector(Estimator):
    """Move and stretch the logarithm of each class's probability: softmax(slopes ∘ log p + intercepts).

    p is brought to the sum 1 and each entry to at least 1e-15; logits are brought to log p first, so that both give the same. The 2·K
    parameters minimise the mean log loss, which is convex in them, by Newton's method with step-halving; the intercepts sum to 0.

    Unlike a temperature it can change which class is the most probable one, and with it the accuracy: where a class is given too often,
    that is the repair. Nothing holds the 2·K parameters back: with few labels per class prefer structured vector scaling.
    With two classes this is beta calibration with free slopes.

    Parameters
    ----------
    task : `multiclass`
    logits : X holds logits instead of probabilities

    Attributes
    ----------
    slopes_, intercepts_ : arrays of shape (K,)
    class_names_ : names of the classes, where a document gave them; else None

    References
    ----------
    Guo, Pleiss, Sun, Weinberger 2017, doi:10.48550/arXiv.1706.04599; on log p: Kull et al. 2019, doi:10.48550/arXiv.1910.12656

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> true = rng.dirichlet([1.0, 1.0, 1.0], size=20_000)
    >>> y = (rng.uniform(size=(20_000, 1)) > true.cumsum(axis=1)).sum(axis=1)
    >>> said = true ** [2.0, 1.0, 1.0] / (true ** [2.0, 1.0, 1.0]).sum(axis=1, keepdims=True)
    >>> fitted = Vector().fit(said, y)
    >>> bool(np.abs(fitted.predict_proba(said) - true).mean() < 0.02 < np.abs(said - true).mean())
    True

    """

    family = Family(
        method="vector",
        sentence="the same, held to nothing",
        parameters="{slopes, intercepts, classes}, one per class",
        check=check,
        vectors=LINES,
        per_class=True,
    )

    def __init__(self, *, task: str = "multiclass", logits: bool = False) -> None:
        self.task = task
        self.logits = logits

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit slopes and intercepts.

        Parameters
        ----------
        X : array of shape (n, K), probabilities or logits
        y : array of shape (n,), labels 0 to K - 1
        sample_weight : array of shape (n,), weights of the rows; by default 1

        Raises
        ------
        ValueError
            for unusable rows.
        NotIdentified
            for a class without labels, scores that separate labels, or a slope that is not positive: more probability, fewer such labels.

        """
        scores, label, weight = self._rows(X, y, sample_weight)
        missing = np.flatnonzero(np.bincount(label, minlength=scores.shape[1]) == 0)
        if len(missing):
            raise NotIdentified(f"class {missing[0]} has no label, so that nothing holds its intercept")
        self.class_names_ = None
        share = weight / weight.sum()
        beta = beta_of_vectors(scores, label, weight)
        self.slopes_, self.intercepts_ = usable(fit_lines(normal_logs(scores), label, share, start=beta, ridge=0.0))
        return self

    def _parameters(self) -> Parameters:
        parameters: Parameters = {"slopes": self.slopes_.tolist(), "intercepts": self.intercepts_.tolist()}
        if self.class_names_ is not None:
            parameters["classes"] = self.class_names_
        return parameters

    def _restore(self, parameters: Parameters) -> None:
        self.slopes_, self.intercepts_ = np.array(parameters["slopes"]), np.array(parameters["intercepts"])
        self.class_names_ = parameters.get("classes")
        self.n_features_in_ = len(self.slopes_)
