"""Hold an encoded event to its description, for tests of serving code: what the server would refuse raises where it was logged."""

import re
from typing import Final

import msgspec

from ..domain.errors import BadInput
from ..domain.events import TASK_OF_FORM, Event, PredictionEvent


def check(encoded: bytes) -> None:
    """Raise BadInput for an event with a value of a wrong type or out of range, or with no form or several.

    What depends on the model's settings, such as its classes, only the server knows.
    """
    try:
        event = _EVENTS.decode(encoded)
    except msgspec.ValidationError as error:
        raise _named(error, encoded) from error
    if isinstance(event, PredictionEvent):
        _check_form(event)


def _check_form(event: PredictionEvent) -> None:
    forms = [name for name in TASK_OF_FORM if getattr(event, name) is not None]
    is_derived = event.members is not None or event.agreeing is not None  # the server computes the form from these
    if len(forms) != 1 and not (is_derived and not forms):
        raise BadInput("event", " and ".join(forms) or None, f"it must have exactly one of {', '.join(TASK_OF_FORM)}")


def _named(error: msgspec.ValidationError, encoded: bytes) -> BadInput:
    """Return a fault that names its field and value."""
    reason, _, path = str(error).partition(" - at `$.")
    field = "".join(re.findall(r"^\w+", path))
    value = msgspec.json.decode(encoded).get(field)
    return BadInput(field or "event", value, f"{reason[:1].lower()}{reason[1:]}")


_EVENTS: Final = msgspec.json.Decoder(Event, strict=False)  # the server reads numbers in text too
