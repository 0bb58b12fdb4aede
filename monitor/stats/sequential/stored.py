"""The stored form of a sequential test: a header, then arrays of little-endian doubles."""

import struct
from collections.abc import Sequence
from typing import Final, get_args

import numpy as np

from ..cells import Floats
from .at_least import RUNGS, LowerBounds
from .evidence import Evidence, Kind
from .guarantee import STAKE_LABELS
from .holding import SIZE, Holding
from .ledger import Ledger
from .witnesses import BINS, LINES, MEMORIES, PRIOR

_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_MAGIC: Final = b"CWEV"
_FORMAT: Final = 6  # to be raised when witnesses, shares or alternatives change, since stored states depend on them
_HEADER: Final = struct.Struct("<4sHHqqqqqq")
_SEEN: Final = (len(MEMORIES), BINS)
_RUNGS: Final = len(RUNGS)
_LINES: Final = (len(LINES),)
_SHAPES: Final = (
    PRIOR.shape,
    PRIOR.shape,
    _LINES,
    _LINES,
    (_RUNGS, *PRIOR.shape),
    (),
    (_RUNGS,),
    _SEEN,
    _SEEN,
    (SIZE,),
)
_SIZES: Final = tuple(int(np.prod(shape)) for shape in _SHAPES)
_FINITE: Final = 3  # the last arrays, which are finite also where nothing was won


def encoded(evidence: Evidence) -> bytes:
    """Return the state of a test as bytes."""
    held, least, kind = evidence.ledger, evidence.at_least, _KINDS.index(evidence.kind)
    counts = (evidence.labels, evidence.bets, evidence.steps, int(held.stakes[0]), evidence.peaked, evidence.late)
    header = _HEADER.pack(_MAGIC, _FORMAT, kind, *counts)
    won = (held.wealth, held.roberts, held.ratios, held.ratio_roberts, least.wealth)
    arrays = (*won, held.peak, least.peaks, held.gaps, held.variances, evidence.holding.to_array())
    return header + b"".join(array.astype("<f8").tobytes() for array in arrays)


def decoded(blob: bytes) -> Evidence:
    """Return the state that `encoded` wrote.

    Raises
    ------
    ValueError
        when the bytes are no such state, or are from another version of the tests, which must start again.

    """
    if len(blob) < _HEADER.size or blob[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"{len(blob)} bytes are not the state of a sequential test")
    _, version, kind, *counts = _HEADER.unpack_from(blob)
    if version != _FORMAT or len(blob) != _HEADER.size + 8 * sum(_SIZES) or kind >= len(_KINDS):
        raise ValueError(
            f"{len(blob)} bytes of format {version} are not the state of these sequential tests (format {_FORMAT})"
        )
    flat = np.frombuffer(blob, dtype="<f8", offset=_HEADER.size).astype(np.float64)
    finite = np.isfinite(flat[-sum(_SIZES[-_FINITE:]) :]).all()
    if not (flat < np.inf).all() or not finite or not _possible(counts):
        raise ValueError("the state of a sequential test holds figures that no test arrives at")
    return _evidence(_KINDS[kind], counts, flat)


def _possible(counts: Sequence[int]) -> bool:
    """Return whether a test can have come to these counts."""
    labels, bets, steps, stakes, peaked, late = counts
    in_order = 0 <= peaked <= steps <= bets <= labels and late >= 0
    return in_order and (bets > 0) == (steps > 0) == (stakes > 0) and 0 <= stakes <= bets // STAKE_LABELS + 1


def _evidence(kind: Kind, counts: Sequence[int], flat: Floats) -> Evidence:
    labels, bets, steps, stakes, peaked, late = counts
    parts = np.split(flat, np.cumsum(_SIZES)[:-1])
    wealth, roberts, ratios, ratio_roberts, rungs, peak, peaks, gaps, variances, holding = (
        part.reshape(1, *shape) for part, shape in zip(parts, _SHAPES, strict=True)
    )
    ledger = Ledger(
        labels=np.array([bets]), steps=np.array([steps]), stakes=np.array([stakes]), wealth=wealth, roberts=roberts,
        ratios=ratios, ratio_roberts=ratio_roberts, peak=peak, peaked=np.array([peaked]), gaps=gaps, variances=variances,
    )  # fmt: skip
    return Evidence(kind, ledger, LowerBounds(rungs[0], peaks[0]), labels, late, Holding.from_array(holding[0]))
