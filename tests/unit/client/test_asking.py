"""Calls of a language model that say how sure it is; synchronous, and awaited."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from monitor import ask_confidence, self_consistency
from monitor.client.asking import INSTRUCTION
from monitor.domain.errors import BadInput, Unreadable

QUESTION = "What is the capital of France?"


class Model:
    """Answers in turn, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []

    def __call__(self, *asked: Any, **more: Any) -> Any:
        self.asked.append((*asked, *more.items()))
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def awaited(self, *asked: Any, **more: Any) -> Any:
        await asyncio.sleep(0)
        return self(*asked, **more)


def alone(model: Model, wrap: Callable[[Any], Any], *asked: Any, **more: Any) -> Any:
    return wrap(model)(*asked, **more)


def together(model: Model, wrap: Callable[[Any], Any], *asked: Any, **more: Any) -> Any:
    async def run() -> Any:
        return await wrap(model.awaited)(*asked, **more)

    return asyncio.run(run())


def by_a_lambda(model: Model, wrap: Callable[[Any], Any], *asked: Any, **more: Any) -> Any:
    async def run() -> Any:
        return await wrap(lambda *args, **kwargs: model.awaited(*args, **kwargs))(*asked, **more)  # noqa: PLW0108 - no coroutine function

    return asyncio.run(run())


ways = pytest.mark.parametrize("ask", [alone, together, by_a_lambda])
Ask = Callable[..., Any]


@ways
def test_self_consistency_counts_the_answers_that_agree(ask: Ask):
    model = Model("Paris", "Lyon", "paris")
    answer = ask(model, lambda call: self_consistency(call, 3, key=str.casefold), QUESTION, temperature=0.7)
    assert answer == {"prediction": "Paris", "agreeing": 2, "samples": 3, "confidence_source": "self_consistency"}
    assert model.asked == [(QUESTION, ("temperature", 0.7))] * 3


@ways
def test_an_error_of_one_call_is_an_error_of_the_whole(ask: Ask):
    with pytest.raises(TimeoutError):
        ask(Model("Paris", TimeoutError(), "Paris"), lambda call: self_consistency(call, 3), QUESTION)


@ways
def test_an_empty_answer_is_not_left_out(ask: Ask):
    with pytest.raises(Unreadable, match="must not be empty"):
        ask(Model("Paris", " ", "Paris"), lambda call: self_consistency(call, 3), QUESTION)


@pytest.mark.parametrize("n", [0, 1, 51, True, 2.0, "3"], ids=str)
def test_a_number_of_answers_that_says_nothing_is_refused_at_once(n: Any):
    with pytest.raises(BadInput, match="from 2 to 50"):
        self_consistency(Model(), n)


def test_awaited_calls_run_together_and_keep_their_order():
    running = most = 0

    async def call(answers: list[str]) -> str:
        nonlocal running, most
        running, answer = running + 1, answers.pop(0)
        most = max(most, running)
        await asyncio.sleep(0.001 if answer == "late" else 0)
        running -= 1
        return answer

    async def run() -> Any:
        return await self_consistency(call, 4)(["late", "soon", "soon", "late"])

    assert asyncio.run(run())["prediction"] == "late"  # a tie goes to the answer that came first
    assert most == 4


def test_awaited_calls_are_cancelled_when_one_fails_or_the_whole_is():
    cancelled: list[int] = []

    async def call(place: list[int]) -> str:
        mine = len(place)
        place.append(mine)
        if mine == 0:
            raise TimeoutError
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(mine)
            raise
        return "never"

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await self_consistency(call, 3)([])
        await asyncio.sleep(0)
        assert sorted(cancelled) == [1, 2]  # before the loop ends, which cancels whatever is left

    asyncio.run(run())


@ways
def test_ask_confidence_takes_answer_and_confidence_apart(ask: Ask):
    model = Model("The capital is Paris,\non the Seine.\n\nConfidence: 85%\n")
    answer = ask(model, ask_confidence, QUESTION, seed=1)
    assert answer == {
        "prediction": "The capital is Paris,\non the Seine.",
        "confidence": 0.85,
        "confidence_source": "verbalized",
    }
    assert model.asked == [(f"{QUESTION}\n\n{INSTRUCTION}", ("seed", 1))]


@pytest.mark.parametrize(
    ("line", "confidence"),
    [
        ("Confidence: 85", 0.85),
        ("**Confidence:** 85%", 0.85),
        ("- confidence = 85 %", 0.85),
        ("CONFIDENCE: 100%", 1.0),
        ("Confidence: 0%", 0.0),
        ("Confidence: 1%", 0.01),
        ("Confidence: 85/100", 0.85),
    ],
)
def test_a_last_line_is_read_in_its_forms(line: str, confidence: float):
    answer: Any = ask_confidence(Model(f"Paris\n{line}"))(QUESTION)
    assert answer["confidence"] == confidence


@ways
@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "Confidence: 85%",
        "\n\nConfidence: 85%",
        "Confidence: 85%\nParis",
        "Paris. Confidence: 85%",
        "Paris\nConfidence: high",
        "Paris\nConfidence: 185%",
        "Paris\nI am 85% sure",
        "",
        None,
        b"Paris\nConfidence: 85%",
    ],
    ids=repr,
)
def test_a_text_without_both_is_an_error_and_never_a_guess(ask: Ask, text: Any):
    with pytest.raises(Unreadable):
        ask(Model(text), ask_confidence, QUESTION)


def test_an_instruction_of_ones_own_is_sent():
    model = Model("Paris\nConfidence: 85%")
    ask_confidence(model, instruction="Say it as « Confidence: N% ».")(QUESTION)
    assert model.asked == [(f"{QUESTION}\n\nSay it as « Confidence: N% ».",)]


def test_wrappers_keep_the_name_of_what_they_wrap():
    async def complete(prompt: str) -> str:
        """Ask."""
        return prompt

    wrapped: Callable[[str], Awaitable[Any]] = self_consistency(complete, 2)
    assert (wrapped.__name__, wrapped.__doc__) == ("complete", "Ask.")
    assert list(inspect.signature(wrapped).parameters) == ["prompt"]
