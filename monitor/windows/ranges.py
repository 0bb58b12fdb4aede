"""Ranges of time: their days, hours and minutes, and the moment up to which labels have matured."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ..domain.records import DAY_LEVEL, HOUR_LEVEL, MINUTE_LEVEL, Progress
from ..domain.times import DAY, HOUR, MINUTE, ceil, floor
from ..store.rollups import Span
from .delays import Aged, learned, quantile

LEARNED_SHARE: Final = 0.99
"""Of all labels that ever come, the share that comes within the learned label delay."""


def widened(start: int, end: int, minutes_from: int | None) -> tuple[int, int]:
    """Return a range widened to whole minutes, or to whole hours at an edge where minutes are no longer kept."""
    kept_from = minutes_from if minutes_from is not None else floor(end, DAY) + DAY
    first = floor(start, MINUTE) if floor(start, HOUR) >= kept_from else floor(start, HOUR)
    last = ceil(end, MINUTE) if floor(end - 1, HOUR) >= kept_from else ceil(end, HOUR)
    return first, last


def first_after(moment: int, minutes_from: int | None) -> int:
    """Return the first whole minute, or hour where minutes are no longer kept, that begins after a moment."""
    minute = floor(moment, MINUTE) + MINUTE
    return minute if floor(minute, HOUR) >= (minutes_from or 0) else ceil(minute, HOUR)


def spans(start: int, end: int) -> list[Span]:
    """Return a range as days in its middle, hours beside them and minutes at its edges."""
    return _around(start, end, DAY_LEVEL)


def hourly(start: int, end: int) -> list[Span]:
    """Return a range as hours in its middle and minutes at its edges."""
    return _around(start, end, HOUR_LEVEL)


_STEPS: Final = {DAY_LEVEL: DAY, HOUR_LEVEL: HOUR, MINUTE_LEVEL: MINUTE}


def _around(start: int, end: int, level: int) -> list[Span]:
    if start >= end:
        return []
    first, last = ceil(start, _STEPS[level]), floor(end, _STEPS[level])
    if level == MINUTE_LEVEL:
        return [Span(level, start, end)]
    if first >= last:
        return _around(start, end, level - 1)
    return [Span(level, first, last), *_around(start, first, level - 1), *_around(last, end, level - 1)]


def doubled(start: int, end: int, earliest: int) -> list[tuple[int, int]]:
    """Return a range and ever longer ones with the same end, none of which begins before `earliest`."""
    ranges = []
    length = end - start
    while earliest < end:
        ranges.append((max(end - length, earliest), end))
        if end - length <= earliest:
            break
        length *= 2
    return ranges


def merged(parts: Iterable[Span]) -> list[Span]:
    """Return spans that cover the same buckets once each."""
    apart: list[Span] = []
    for part in sorted(parts, key=lambda span: (span.level, span.first)):
        if apart and apart[-1].level == part.level and part.first <= apart[-1].last:
            apart[-1] = Span(part.level, apart[-1].first, max(apart[-1].last, part.last))
        else:
            apart.append(part)
    return apart


def learned_delay(seen: Mapping[int, int], aged: Sequence[Aged]) -> int:
    """Return the delay within which nearly all labels come that ever come, 0 before the first."""
    estimated = learned(seen, aged).quantile(LEARNED_SHARE) if seen else None
    return quantile(seen, LEARNED_SHARE) or 0 if estimated is None else round(estimated)


def own_time(progress: Progress, now: int) -> int | None:
    """Return a model's own time: its watermark plus the time since it last received predictions."""
    if progress.watermark is None:
        return None
    watermark = min(progress.watermark, now)
    return watermark + max(0, now - max(watermark, progress.received_at or watermark))


def matured_until(progress: Progress, delay: int, now: int) -> int | None:
    """Return the whole minute or hour before which all predictions have matured.

    Time is the model's own: its watermark, the newest time of any of its events. Under live traffic that is the wall clock; history that
    is sent faster matures faster. Once nothing has come for the length of the delay, everything has matured.
    """
    if progress.newest_prediction is None or progress.watermark is None:
        return None
    watermark = min(progress.watermark, now)
    if now >= max(watermark, progress.received_at or watermark) + delay:
        return newest_end(progress)
    matured = floor(watermark - delay, MINUTE)
    return matured if matured >= (progress.minutes_from or 0) else floor(matured, HOUR)


def newest_end(progress: Progress) -> int | None:
    """Return the end of the newest minute that has a prediction."""
    return None if progress.newest_prediction is None else floor(progress.newest_prediction, MINUTE) + MINUTE


Range = tuple[int, int]
"""Beginning and end, widened already."""
