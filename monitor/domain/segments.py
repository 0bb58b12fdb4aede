"""Segment names as spelled in rollups, API and metrics, and in sentences."""

from collections.abc import Mapping


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


def readable(segment: str) -> str:
    """Return a segment's name as it is spelled in sentences.

    >>> readable("country:DE")
    'country=DE'
    """
    return segment.replace(":", "=", 1)
