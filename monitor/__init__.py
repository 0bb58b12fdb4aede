"""Watch whether a model in production still means what it says, and repair it when it does not."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.client import Client as Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that importing the package costs next to nothing."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from monitor.client import Client  # noqa: PLC0415  the point of this function

    return Client


def __dir__() -> list[str]:
    return [*__all__, *globals()]
