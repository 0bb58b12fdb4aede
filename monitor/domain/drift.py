"""Drift of a window's raw scores and answers from a reference, as stored and answered."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from .quantities import Count, Moment, Ratio
from .times import micros

ReferenceKind = Literal["fixed", "trailing", "champion", "validation"]

FIXED: Final = "fixed"
FITTED_ON: Final = "champion"
TRAILING: Final = "trailing"
VALIDATED: Final = "validation"


class ClassShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Share of answers of a class."""

    name: str = field(name="class")
    reference: Ratio
    current: Ratio


class ClassShift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mix of answers compared with the reference."""

    classes: tuple[ClassShare, ...]
    js: float
    js_null_95: float
    js_null_999: float
    shifted: Annotated[
        bool,
        Meta(
            description="8·`js`, which is about a PSI, exceeds the threshold of `psi`, and `js` its 99.9 % null quantile; of a binary "
            "model, scores moved by more than rounding, too"
        ),
    ]


class Drift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Distances of raw scores from a reference, each with its 95 % quantile under no drift."""

    model: str
    version: str | None
    segment: str
    start: Moment
    end: Moment
    reference_kind: Annotated[
        ReferenceKind,
        Meta(
            description="a declared range, the previous window, the data the calibrator in service was fitted on, or the validation set"
        ),
    ]
    reference_start: Moment
    reference_end: Moment
    scores: Literal["raw"]
    predictions: Count
    reference_predictions: Count
    psi: float | None
    psi_null_95: float | None
    psi_null_999: float | None = None
    ks: float | None
    ks_null_95: float | None
    js: float | None
    js_null_95: float | None
    wasserstein: Annotated[
        float | None, Meta(description="in units of confidence; null for scores that are not confidences")
    ]
    wasserstein_null_95: float | None
    relative_move: Annotated[
        float | None,
        Meta(
            description="how far scores moved on average, relative to their size or, of confidences above .5, to their distance from 1"
        ),
    ] = None
    least_move: Annotated[
        float | None, Meta(description="a smaller `relative_move` is rounding, and no drift whatever the PSI")
    ] = None
    class_shift: Annotated[ClassShift | None, Meta(description="null unless answers are counted classes")]
    threshold: float
    enough: Annotated[bool, Meta(description="both sides have the model's `minimum_labels` of predictions")]
    drifted: Annotated[
        bool,
        Meta(
            description="the PSI exceeds its threshold and its 99.9 % null quantile, and scores moved by more than rounding (`least_move`)"
        ),
    ]

    @property
    def is_rounding(self) -> bool:
        """Whether scores moved by no more than rounding does."""
        return self.relative_move is not None and self.least_move is not None and self.relative_move <= self.least_move

    @property
    def over(self) -> tuple[int, int]:
        """Beginning and end of the window, in microseconds."""
        return micros(self.start), micros(self.end)
