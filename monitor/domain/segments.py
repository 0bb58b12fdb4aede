"""Segment names as spelled in rollups, API and metrics, and in sentences."""

from collections.abc import Collection, Mapping

from .records import OTHER


def segment_of(declared: str, values: Mapping[str, str]) -> str | None:
    r"""Return the segment of an event's values, or None if one is missing; in a pair, commas and backslashes are escaped.

    >>> segment_of("country", {"country": "DE"}), segment_of("country,device", {"country": "DE", "device": "a,b"})
    ('country:DE', 'country,device:DE,a\\,b')
    """
    keys = declared.split(",")
    if not all(key in values for key in keys):
        return None
    if len(keys) == 1:
        return f"{declared}:{values[declared]}"
    return f"{declared}:" + ",".join(values[key].replace("\\", r"\\").replace(",", r"\,") for key in keys)


def counted_segment(declared: str, values: Mapping[str, str], others: Collection[str]) -> str | None:
    """Return the segment that an event counts in; declared ones of `others` have sums of their own for other values only.

    >>> counted_segment("country", {"country": "DE"}, ["country"])
    'country:__other__'
    """
    segment = segment_of(declared, values)
    return f"{declared}:{OTHER}" if segment is not None and declared in others else segment


def readable(segment: str) -> str:
    """Return a segment's name as it is spelled in sentences.

    >>> readable("country:DE")
    'country=DE'
    """
    return segment.replace(":", "=", 1)
