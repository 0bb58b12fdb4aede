"""What can go wrong with a calibrator. All are ValueErrors, since this package imports nothing else of ours.

ValueError
├── NotIdentified       the rows do not determine the calibrator's parameters
├── NotFitted           a calibrator was asked before it was fitted; an AttributeError too, as in scikit-learn
└── BadDocument         a document that is not a calibrator: names the field, the value and what would be right
"""

import reprlib
from typing import Any


class NotIdentified(ValueError):
    """The rows do not determine the parameters: no fit, rather than a wild one."""


class NotFitted(ValueError, AttributeError):
    """The calibrator has not been fitted yet."""


class BadDocument(ValueError):
    """A document does not describe a calibrator, or not the one whose hash it carries."""

    def __init__(self, field: str, value: Any, reason: str) -> None:
        self.field = field
        self.value = value
        self.reason = reason
        # reprlib bounds both length and depth, so that a hostile value costs nothing to show.
        super().__init__(f"{field} is {reprlib.repr(value)}: {reason}")
