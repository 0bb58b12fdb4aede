"""Calls of a language model that also say how sure it is, as fields of an event.

A wrapper takes what the wrapped function takes. It is awaited if the function's result is: one wrapper serves synchronous and
asynchronous clients of any vendor.
"""

import re
from collections.abc import Awaitable, Callable, Hashable
from functools import wraps
from inspect import isawaitable
from typing import Any, Concatenate, Final, ParamSpec, TypedDict, overload

from ..domain.errors import BadInput, Unreadable
from ..domain.events import MAX_SAMPLES
from .answers import Agreement, Answer, agreement
from .stated import verbalized

P = ParamSpec("P")

INSTRUCTION: Final = (
    "After your answer, write on a last line of its own how likely it is that the answer is right, "
    "as a whole number of percent from 0 to 100, in this form:\nConfidence: N%"
)


class Stated(TypedDict):
    """Arguments of `Client.log` for an answer with the confidence that the model stated."""

    prediction: str
    confidence: float
    confidence_source: str


@overload
def self_consistency(
    call: Callable[P, Awaitable[Answer]],
    n: int = ...,
    *,
    key: Callable[[Answer], Hashable] | None = ...,
    same: Callable[[Answer, Answer], bool] | None = ...,
) -> Callable[P, Awaitable[Agreement]]: ...
@overload
def self_consistency(
    call: Callable[P, Answer],
    n: int = ...,
    *,
    key: Callable[[Answer], Hashable] | None = ...,
    same: Callable[[Answer, Answer], bool] | None = ...,
) -> Callable[P, Agreement]: ...
def self_consistency(
    call: Callable[P, Any],
    n: int = 10,
    *,
    key: Callable[[Answer], Hashable] | None = None,
    same: Callable[[Answer, Answer], bool] | None = None,
) -> Callable[P, Any]:
    """Return a function that calls `call` n times and returns the most frequent answer and how many agree with it.

    The model must sample its answers, at a temperature above 0. Synchronous calls follow one another, asynchronous ones run together.
    An error of one call is an error of the whole: no answer is left out.

    Parameters
    ----------
    call : returns one answer, text or a number, or an awaitable of one
    n : number of answers, 2 to 50
    key, same : which answers agree, as in `agreement`

    Returns
    -------
    a function of the parameters of `call`, which returns the fields of `agreement`, or an awaitable of them

    Raises
    ------
    BadInput
        when n is no number from 2 to 50. The function raises Unreadable as `agreement` does.

    Examples
    --------
    >>> answers = iter(["Paris", "Lyon", "Paris"])
    >>> ask = self_consistency(lambda question: next(answers), 3)
    >>> ask("What is the capital of France?")
    {'prediction': 'Paris', 'agreeing': 2, 'samples': 3, 'confidence_source': 'self_consistency'}

    """
    if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= MAX_SAMPLES:  # noqa: PLR2004 - one agrees with itself
        raise BadInput("n", n, f"it must be a number of answers from 2 to {MAX_SAMPLES}")

    async def together(first: Awaitable[Answer], *args: P.args, **kwargs: P.kwargs) -> Agreement:
        return agreement(await _gathered([first, *(call(*args, **kwargs) for _ in range(n - 1))]), key=key, same=same)

    @wraps(call)
    def asked(*args: P.args, **kwargs: P.kwargs) -> Any:
        first = call(*args, **kwargs)
        if isawaitable(first):
            return together(first, *args, **kwargs)
        return agreement([first, *(call(*args, **kwargs) for _ in range(n - 1))], key=key, same=same)

    return asked


async def _gathered(calls: list[Awaitable[Answer]]) -> list[Answer]:
    """Return what all calls return, in their order; when one fails the others are cancelled."""
    import asyncio  # noqa: PLC0415 - whoever awaits has it; it costs others as much as the rest of the client

    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


@overload
def ask_confidence(
    call: Callable[Concatenate[str, P], Awaitable[str]], *, instruction: str = ...
) -> Callable[Concatenate[str, P], Awaitable[Stated]]: ...
@overload
def ask_confidence(
    call: Callable[Concatenate[str, P], str], *, instruction: str = ...
) -> Callable[Concatenate[str, P], Stated]: ...
def ask_confidence(
    call: Callable[Concatenate[str, P], Any], *, instruction: str = INSTRUCTION
) -> Callable[Concatenate[str, P], Any]:
    r"""Return a function that asks a model for an answer and, on its last line, for a confidence, and takes the two apart.

    Parameters
    ----------
    call : takes a prompt, and whatever else, and returns the model's text or an awaitable of it
    instruction : what is added to the prompt; it must ask for a last line such as `Confidence: 85%`

    Returns
    -------
    a function of the parameters of `call`, which returns `prediction`, the text before the last line, with `confidence` and
    `confidence_source` for `client.log(**fields)`, or an awaitable of them

    Raises
    ------
    Unreadable
        from the function, when the last line states no confidence, or nothing stands before it.

    Examples
    --------
    >>> ask = ask_confidence(lambda prompt: "Paris\n\nConfidence: 85%")
    >>> ask("What is the capital of France?")
    {'prediction': 'Paris', 'confidence': 0.85, 'confidence_source': 'verbalized'}

    """

    async def awaited(text: Awaitable[str]) -> Stated:
        return _stated(await text)

    @wraps(call)
    def asked(prompt: str, /, *args: P.args, **kwargs: P.kwargs) -> Any:
        text = call(f"{prompt}\n\n{instruction}", *args, **kwargs)
        return awaited(text) if isawaitable(text) else _stated(text)

    return asked


def _stated(text: str) -> Stated:
    if not isinstance(text, str):
        raise Unreadable("text", text, "must be text: let the call return the text of the model's answer")
    answer, _, last = text.rstrip().rpartition("\n")
    if not _NAMES_CONFIDENCE.match(last):
        raise Unreadable("text", text, "must end in a line that states the confidence: Confidence: N%")
    if not answer.strip():
        raise Unreadable("text", text, "must have an answer before the line that states the confidence")
    return {"prediction": answer.strip(), **verbalized(last, scale=100)}


_NAMES_CONFIDENCE: Final = re.compile(r"\W*confidence\b", re.IGNORECASE)
