"""Watch whether a model in production still means what it says, and repair it when it does not."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import (
        CalibratedModel,
        Client,
        agreement,
        ask_confidence,
        average,
        lifespan,
        self_consistency,
        token_logprobs,
        verbalized,
    )

__all__ = [
    "CalibratedModel",
    "Client",
    "agreement",
    "ask_confidence",
    "average",
    "lifespan",
    "self_consistency",
    "token_logprobs",
    "verbalized",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that importing the package costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import client  # noqa: PLC0415  the point of this function

    return getattr(client, name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]


if __name__ != "calwatch":  # a checkout, whose folder has another name
    import sys

    from .second_name import rename

    rename(sys.modules[__name__])
