"""Convert the output of a language model or an ensemble into fields of an event: a number or an error, never a guess.

The functions raise `Unreadable`, a ValueError, where the output states no confidence, so that serving code can decide: log no event
for that answer, or ask again. `Client.log` itself raises nothing.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Literal, TypedDict

from ..domain.errors import Unreadable
from ..domain.events import MAX_SAMPLES
from ..domain.rounding import HIGHEST, LOWEST, SINGLE, clamped
from .plain import plain

Answer = str | int | float


class Agreement(TypedDict):
    """Arguments of `Client.log` for the most frequent of several sampled answers."""

    prediction: Answer
    agreeing: int
    samples: int
    confidence_source: Literal["self_consistency"]


class TokenScore(TypedDict, total=False):
    """Arguments of `Client.log` from the probabilities of tokens: a score, or a confidence for a single token."""

    score: float
    confidence: float
    confidence_source: Literal["logprob"]


def agreement(
    answers: Iterable[Answer],
    *,
    key: Callable[[Answer], Hashable] | None = None,
    same: Callable[[Answer, Answer], bool] | None = None,
) -> Agreement:
    """Return the most frequent of several sampled answers, and the number of answers that agree with it.

    Ties go to the answer that came first. No answer is ignored: an empty one is an error.

    Parameters
    ----------
    answers : 1 to 50 texts or numbers, in the order of sampling
    key : answers agree if their keys are equal, for example `str.casefold`; by default the answers must be equal
    same : or an answer agrees with a group if this is true of the group's first answer and it, for example a model of meanings

    Returns
    -------
    `prediction`, `agreeing`, `samples` and `confidence_source`, for `client.log(**fields)`

    Raises
    ------
    Unreadable
        when there is no answer or more than 50, or one is empty, not finite, or neither text nor a number.

    Examples
    --------
    >>> agreement(["Paris", "Lyon", "paris"], key=str.casefold)
    {'prediction': 'Paris', 'agreeing': 2, 'samples': 3, 'confidence_source': 'self_consistency'}

    """
    sampled = [_answer(value) for value in answers]
    if not 1 <= len(sampled) <= MAX_SAMPLES:
        raise Unreadable("answers", len(sampled), f"must be 1 to {MAX_SAMPLES} answers")
    if key is not None and same is not None:
        raise Unreadable("same", same, "must be left out beside key: one of them says which answers agree")
    groups = _alike(sampled, same) if same is not None else _by_key(sampled, key or _itself)
    largest = max(groups, key=len)  # the first of several
    return {
        "prediction": largest[0],
        "agreeing": len(largest),
        "samples": len(sampled),
        "confidence_source": "self_consistency",
    }


def _answer(value: Any) -> Answer:
    """Return an answer as plain Python."""
    try:
        answer: Answer = value if type(value) is str else plain(value)
    except TypeError as error:
        raise Unreadable("answers", value, "must be text or numbers") from error
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise Unreadable("answers", value, "must be text or numbers")
    if isinstance(answer, str) and not answer.strip():
        raise Unreadable("answers", answer, "must not be empty: name what stands for no answer, or leave the event out")
    if isinstance(answer, float) and not math.isfinite(answer):
        raise Unreadable("answers", answer, "must be finite")
    return answer


def _itself(answer: Answer) -> Hashable:
    return answer


def _by_key(answers: list[Answer], key: Callable[[Answer], Hashable]) -> list[list[Answer]]:
    groups: dict[Hashable, list[Answer]] = {}
    for answer in answers:
        groups.setdefault(key(answer), []).append(answer)
    return list(groups.values())


def _alike(answers: list[Answer], same: Callable[[Answer, Answer], bool]) -> list[list[Answer]]:
    groups: list[list[Answer]] = []
    for answer in answers:
        group = next((group for group in groups if same(group[0], answer)), None)
        if group is None:
            groups.append([answer])
        else:
            group.append(answer)
    return groups


How = Literal["mean", "sum", "min", "single"]


def token_logprobs(logprobs: Iterable[float], *, how: How = "mean") -> TokenScore:
    """Return the score of an answer from the natural logarithms of its tokens' probabilities.

    Their mean, sum or minimum is a score, not a probability of the answer; the server calibrates it once it has labels. Only for an
    answer of a single token (yes or no, a choice) is exp(logprob) a confidence: `how="single"`.

    Parameters
    ----------
    logprobs : one number per token of the answer, none above 0 but by rounding
    how : `mean`, `sum` or `min`, the same for all events of a model version; or `single`

    Returns
    -------
    `score`, or for a single token `confidence`, with `confidence_source`, for `client.log(prediction=…, **fields)`

    Raises
    ------
    Unreadable
        when there is no token, or for `single` more than one, or a logprob is above 0, not finite, or so low that its probability is 0
        as a float (under -745): APIs send such numbers, -9999, for "unknown", and one in a mean hides all other tokens.

    Examples
    --------
    >>> token_logprobs([-0.25, -0.75]), token_logprobs([0.0], how="single")
    ({'score': -0.5, 'confidence_source': 'logprob'}, {'confidence': 1.0, 'confidence_source': 'logprob'})

    """
    tokens = [_logprob(value) for value in logprobs]
    if not tokens:
        raise Unreadable("logprobs", tokens, "must have at least one token")
    if how == "single":
        if len(tokens) != 1:
            raise Unreadable("logprobs", tokens, "must be of one token: of several, take their mean, sum or min")
        return {"confidence": math.exp(tokens[0]), "confidence_source": "logprob"}
    if how not in _SCORES:
        raise Unreadable("how", how, "must be mean, sum, min or single")
    return {"score": _SCORES[how](tokens), "confidence_source": "logprob"}


_SCORES: Final[dict[str, Callable[[list[float]], float]]] = {
    "mean": lambda tokens: math.fsum(tokens) / len(tokens),
    "sum": math.fsum,
    "min": min,
}


def _logprob(value: Any) -> float:
    try:
        logprob = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unreadable("logprobs", value, "must be numbers") from error
    if isinstance(value, str | bool) or not -math.inf < logprob <= SINGLE:
        raise Unreadable("logprobs", value, "must be logarithms of probabilities: finite, and at most 0")
    if math.exp(logprob) == 0.0:
        raise Unreadable(
            "logprobs", value, "is of probability 0: it stands for a token that the API gives no logprob of"
        )
    return min(logprob, 0.0)


def average(members: Iterable[float] | Iterable[Iterable[float]]) -> Any:
    """Return the mean of an ensemble's probabilities, or of its vectors class by class.

    This is the ensemble's own value, to which a calibrator is applied.

    Parameters
    ----------
    members : a probability per member of a binary model, a vector per member of a multiclass one; lists or arrays

    Returns
    -------
    a probability, or a list of one per class

    Raises
    ------
    Unreadable
        when there are no members, their types or lengths differ, or a value is no probability.

    Examples
    --------
    >>> average([0.9, 0.6]), average([[0.5, 0.5], [1.0, 0.0]])
    (0.75, [0.75, 0.25])

    With a client, the served value, the members and the calibrator's version go into one event:
    `client.log(probability=client.calibrated(average(members)), members=members)`.

    """
    values = [member.tolist() if hasattr(member, "tolist") else member for member in members]
    if not values:
        raise Unreadable("members", values, "must be at least one member")
    if not any(isinstance(value, Iterable) for value in values):
        return math.fsum(map(_probability, values)) / len(values)
    vectors = [_vector(value) for value in values]
    if len(set(map(len, vectors))) != 1:
        raise Unreadable("members", [len(vector) for vector in vectors], "must be vectors of the same classes")
    return [math.fsum(entries) / len(vectors) for entries in zip(*vectors, strict=True)]


def _vector(member: Any) -> list[float]:
    if isinstance(member, str) or not isinstance(member, Iterable):
        raise Unreadable("members", member, "must be all probabilities, or all vectors")
    return [_probability(value) for value in member]


def _probability(value: Any) -> float:
    try:
        probability = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unreadable("members", value, "must hold numbers") from error
    if isinstance(value, str | bool) or not LOWEST <= probability <= HIGHEST:
        raise Unreadable("members", value, "must hold probabilities, from 0 to 1")
    return clamped(probability)
