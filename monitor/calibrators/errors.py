"""Errors of calibrators. All are ValueErrors, since this package stands on the ground floor.

ValueError
├── NotIdentified       the rows do not determine the calibrator's parameters
├── NotFitted           a calibrator was applied before it was fitted; an AttributeError too, as in scikit-learn
└── BadDocument         an invalid document: names the field, the value and what would be right
"""

import reprlib


class NotIdentified(ValueError):
    """The rows do not determine the parameters."""


class NotFitted(ValueError, AttributeError):
    """The calibrator has not been fitted yet."""


class BadDocument(ValueError):
    """A document is invalid, or has another hash than its content."""

    def __init__(self, field: str, value: object, reason: str) -> None:
        self.field = field
        self.value = value
        self.reason = reason
        # reprlib bounds both length and depth, so that a hostile value costs nothing to show.
        super().__init__(f"{field} is {reprlib.repr(value)}: {reason}")
