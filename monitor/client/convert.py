"""Documents of calibrators fitted elsewhere, for the server to judge: by scikit-learn, by betacal, or any increasing map.

None of these packages is imported: an object is recognised by its class, and read by its fitted attributes.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..calibrators.document import check
from ..calibrators.hashing import Fitted, Json
from ..calibrators.parameters import HIGHEST, LOWEST, MOST_KNOTS
from ..domain.errors import BadInput

TOLERANCE: Final = 1e-6
"""The largest error of a map that is sampled."""

LOGIT, PROBABILITY = "logit", "probability"
HANDS_ON: Final = {"Pipeline", "FrozenEstimator", "BaseSearchCV"}
"""Classes with the score of an estimator in them, unchanged; one that votes or averages has a score of its own."""
MOST_ROUNDS: Final = 100
CHECKS: Final = 50_000
NOISE: Final = 1e-9
"""The largest fall of a map that counts as increasing: single precision causes such."""

Map = Callable[[Any], Any]


def document_from(fitted: Any, *, task: str = "binary", on: str | None = None) -> Fitted:
    """Return the document of a fitted calibrator, `{"method", "task", "parameters"}`, for `Client.register`.

    Converted exactly are scikit-learn's `IsotonicRegression` on probabilities, `LogisticRegression` of one feature and the sigmoid and
    temperature of a `CalibratedClassifierCV` on logits, and betacal's `BetaCalibration`. Anything else that is increasing, with
    `predict_proba` or `predict`, or a function of an array, is sampled as an isotonic map: its error is at most 1e-6.

    Parameters
    ----------
    fitted : the calibrator; a `CalibratedClassifierCV` must hold a single one (`ensemble=False`)
    task : `binary`, `confidence` or `multiclass`
    on : input of the calibrator, `logit` or `probability`; needed where its class does not say: for scikit-learn's logistic regression,
        and a classifier with a `decision_function`

    Raises
    ------
    BadInput
        for an object that cannot be converted, with the reason; for a sampled map, with its error.
    BadDocument
        for parameters that are none of a calibrator, such as a falling slope.

    Examples
    --------
    >>> document = document_from(lambda p: p**2)
    >>> document["method"], len(document["parameters"]["x"]) > 100
    ('isotonic', True)

    """
    if on not in (None, LOGIT, PROBABILITY):
        raise BadInput("on", on, "it must be logit or probability")
    try:
        method, parameters = _converted(fitted, task, on)
    except AttributeError as error:
        raise BadInput("fitted", fitted, f"it can't be read; is it fitted? {error}") from error
    return check({"method": method, "task": task, "parameters": parameters}).as_document()


Converted = tuple[str, Mapping[str, Json]]
Converter = Callable[[Any, str, str | None], Converted]


def _converted(fitted: Any, task: str, on: str | None) -> Converted:
    if hasattr(fitted, "to_document"):
        document = fitted.to_document()
        return document["method"], document["parameters"]
    for name in _names(fitted):
        if name in _CONVERTERS:
            return _CONVERTERS[name](fitted, task, on)
    return "isotonic", _sampled(_asked(fitted), on or PROBABILITY)


def _names(fitted: Any) -> list[str]:
    """Return the names of an object's classes that come from scikit-learn or betacal."""
    return [
        base.__name__ for base in type(fitted).__mro__ if base.__module__.partition(".")[0] in {"sklearn", "betacal"}
    ]


def _of_isotonic(fitted: Any, _task: str, on: str | None) -> Converted:
    if fitted.increasing_ is not True and not fitted.increasing_:
        raise BadInput("fitted", fitted, "its map falls: a calibrator must not turn the order of scores around")
    x, y = [float(at) for at in fitted.X_thresholds_], [float(value) for value in fitted.y_thresholds_]
    if on == LOGIT or not 0.0 <= x[0] <= x[-1] <= 1.0:
        return "isotonic", _sampled(lambda z: _between(fitted, z), LOGIT if on is None else on)
    return "isotonic", {"x": x, "y": y}


def _between(fitted: Any, values: Any) -> Any:
    """Return predictions of an isotonic regression, constant beyond either end, whatever its `out_of_bounds`."""
    import numpy as np  # noqa: PLC0415  who has fitted one has NumPy

    return fitted.predict(np.clip(values, fitted.X_thresholds_[0], fitted.X_thresholds_[-1]))


def _of_logistic(fitted: Any, _task: str, on: str | None) -> Converted:
    if len(fitted.coef_) > 1:
        raise BadInput("fitted", fitted, f"it tells {len(fitted.coef_)} classes apart; a calibrator takes one score")
    if fitted.coef_.shape != (1, 1):
        raise BadInput("fitted", fitted, f"it takes {fitted.coef_.shape[1]} features; a calibrator takes one score")
    return _linear(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]), _known(fitted, on))


def _of_sigmoid(fitted: Any, _task: str, on: str | None) -> Converted:
    return _linear(-float(fitted.a_), -float(fitted.b_), _known(fitted, on))


def _linear(slope: float, intercept: float, on: str) -> Converted:
    """Return the map of a score with linear log odds: Platt scaling for logits, a sampled map for probabilities."""
    if on == LOGIT:
        return "platt", {"slope": slope, "intercept": intercept}
    return "isotonic", _sampled(lambda p: _logistic(slope * p + intercept), PROBABILITY)


def _logistic(z: Any) -> Any:
    import numpy as np  # noqa: PLC0415  given arrays only

    return 1.0 / (1.0 + np.exp(-z))


def _of_temperature(fitted: Any, task: str, on: str | None) -> Converted:
    beta = float(fitted.beta_)
    # Of a binary model it takes the pair (-z, z) of a logit z, which are 2z apart; of probabilities their logarithms.
    halves = task != "multiclass" and _known(fitted, on) == LOGIT
    temperature = {"temperature": 1.0 / (2.0 * beta if halves else beta)}
    return "temperature", temperature | ({"classes": 2} if task == "confidence" else {})  # the binary formula


def _of_classifier(fitted: Any, task: str, on: str | None) -> Converted:
    if len(fitted.calibrated_classifiers_) != 1:
        raise BadInput(
            "fitted",
            fitted,
            f"it is a mean over {len(fitted.calibrated_classifiers_)} models and their calibrators: fit it with ensemble=False",
        )
    single = fitted.calibrated_classifiers_[0]
    if len(single.calibrators) != 1:
        raise BadInput(
            "fitted", fitted, 'it has a calibrator for each class: of several classes only "temperature" is one'
        )
    if len(fitted.classes_) > 2 and task != "multiclass":  # noqa: PLR2004  two classes have one score
        raise BadInput("task", task, f"it must be multiclass: this one tells {len(fitted.classes_)} classes apart")
    takes = _known(single.estimator, _taken(single.estimator) if on is None else on)
    return _converted(single.calibrators[0], task, takes)


def _taken(estimator: Any) -> str | None:
    """Return the input of a classifier's calibrator; None where the class does not say."""
    if not hasattr(estimator, "decision_function"):
        return PROBABILITY
    inner = estimator
    while HANDS_ON & set(_names(inner)):
        inner = inner.steps[-1][1] if hasattr(inner, "steps") else inner.estimator
    return LOGIT if "LogisticRegression" in _names(inner) else None


def _of_beta(fitted: Any, _task: str, _on: str | None) -> Converted:
    inner = fitted.calibrator_
    a, b, _ = map(float, inner.map_)
    # The midpoint m is only searched for, to five digits; the intercept is what was fitted.
    intercept = (a - b) * math.log(2.0) if type(inner).__name__ == "_BetaABCal" else _first(inner.lr_.intercept_)
    return "beta", {"a": a, "b": b, "c": intercept}


def _first(value: Any) -> float:
    return float(value[0] if hasattr(value, "__len__") else value)


def _known(fitted: Any, on: str | None) -> str:
    if on is None:
        raise BadInput(
            "on", on, f"{type(fitted).__name__} does not say what it takes: tell whether logit or probability"
        )
    return on


_CONVERTERS: Final[Mapping[str, Converter]] = {
    "IsotonicRegression": _of_isotonic,
    "LogisticRegression": _of_logistic,
    "_SigmoidCalibration": _of_sigmoid,
    "_TemperatureScaling": _of_temperature,
    "CalibratedClassifierCV": _of_classifier,
    "BetaCalibration": _of_beta,
}


def _asked(fitted: Any) -> Map:
    """Return the map of an object of an unknown class."""
    if hasattr(fitted, "predict_proba"):
        return lambda p: _of_positive(fitted, fitted.predict_proba(p.reshape(-1, 1)))
    if hasattr(fitted, "predict"):
        return lambda p: fitted.predict(p)  # noqa: PLW0108  an attribute that is looked up once may be a property
    if callable(fitted):
        apply: Map = fitted
        return apply
    raise BadInput("fitted", fitted, "it is no calibrator: it has neither predict_proba nor predict")


def _of_positive(fitted: Any, answer: Any) -> Any:
    if answer.ndim > 1 and answer.shape[1] > 2:  # noqa: PLR2004  of two classes the later one is the positive one
        raise BadInput(
            "fitted", fitted, f"it answers with {answer.shape[1]} classes; a calibrator of one score has two"
        )
    return answer[:, -1] if answer.ndim > 1 else answer


def _sampled(apply: Map, on: str) -> Mapping[str, Json]:
    """Return the knots of a map, with more of them where it is not straight between two."""
    import numpy as np  # noqa: PLC0415  who has fitted something has NumPy

    def called(p: Any) -> Any:
        clipped = np.clip(p, LOWEST, HIGHEST)
        inputs = np.log(clipped / (1.0 - clipped)) if on == LOGIT else p
        return np.asarray(apply(inputs), dtype=float).reshape(p.shape)

    tail = np.logspace(-9, -2, 29)
    x = np.unique(np.concatenate([np.linspace(0.0, 1.0, 129), tail, 1.0 - tail, [LOWEST, HIGHEST]]))
    y = called(x)
    for _ in range(MOST_ROUNDS):
        middle = 0.5 * (x[:-1] + x[1:])
        halfway, aside = called(middle), called(x[:-1] + 0.382 * np.diff(x))
        error = np.abs(halfway - 0.5 * (y[:-1] + y[1:])) + np.abs(aside - (y[:-1] + 0.382 * np.diff(y)))
        split = ~(error <= TOLERANCE / 2) & (middle > x[:-1]) & (middle < x[1:])
        if not split.any() or len(x) + split.sum() > MOST_KNOTS:
            break
        place = np.flatnonzero(split) + 1
        x, y = np.insert(x, place, middle[split]), np.insert(y, place, halfway[split])
    if not (np.isfinite(y).all() and (np.diff(y) >= -NOISE).all()):
        raise BadInput("fitted", apply, "its map is not increasing over [0, 1]")
    y = np.maximum.accumulate(y)
    if y[0] < -NOISE or y[-1] > 1.0 + NOISE:
        raise BadInput("fitted", apply, f"its map goes from {y[0]:g} to {y[-1]:g}; a calibrator gives probabilities")
    y = np.clip(y, 0.0, 1.0)
    within = np.concatenate(
        [np.linspace(0.0, 1.0, CHECKS), np.logspace(-12, -1, 1_000), 1 - np.logspace(-12, -1, 1_000)]
    )
    left = float(np.abs(called(within) - np.interp(within, x, y)).max())
    if not left <= TOLERANCE:
        raise BadInput(
            "fitted", apply, f"sampled with {len(x)} knots its map is off by {left:.1e}, more than {TOLERANCE:g}"
        )
    return {"x": x.tolist(), "y": y.tolist()}
