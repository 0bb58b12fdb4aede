"""Prometheus' text format. The library's own writer checks and escapes each label of each sample again, ten times as slowly."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal

from prometheus_client.utils import floatToGoString

Sample = tuple[tuple[str, ...], float]
"""The values of its labels, and its own."""

_number: Final[Callable[[float], str]] = floatToGoString
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family:
    """The samples of one metric."""

    __slots__ = ("_written", "documentation", "labels", "name", "samples", "type")

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), kind: Literal["gauge", "counter"] = "gauge"
    ) -> None:
        """Make a family without samples.

        Parameters
        ----------
        name : in full; of a counter with its `_total`
        labels : names, in the order in which samples give their values

        """
        self.name = name
        self.documentation = documentation
        self.labels = tuple(labels)
        self.type = kind
        self.samples: list[Sample] = []
        self._written: list[str] = []

    def add(self, place: tuple[str, ...], value: float | None) -> None:
        """Add a sample; nothing where there is no value."""
        if value is not None:
            self.samples.append((place, value))
            self._written.append(f"{self.name}{labels_of(self.labels, place)} {_number(value)}\n")

    def add_all(self, other: "Family") -> None:
        """Add the samples of another family of the same metric."""
        self.samples += other.samples
        self._written += other._written  # noqa: SLF001 - of the same class

    def lines(self) -> Iterator[str]:
        """Yield the lines of its text."""
        text = self.documentation.replace("\\", r"\\").replace("\n", r"\n")
        yield f"# HELP {self.name} {text}\n# TYPE {self.name} {self.type}\n"
        yield from self._written


@lru_cache(maxsize=65_536)
def labels_of(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Return labels as they stand behind the name of a sample, by name."""
    pairs = sorted(zip(names, values, strict=True))
    inside = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs)
    return f"{{{inside}}}" if inside else ""


def exposition(families: Iterable[Family]) -> bytes:
    """Return the text of families."""
    return "".join(line for family in families for line in family.lines()).encode()
