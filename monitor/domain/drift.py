"""Drift: how far a window's raw scores and answers have moved from a reference, as it is stored and answered."""

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
    """How large a share of the answers a class was."""

    name: str = field(name="class")
    reference: Ratio
    current: Ratio


class ClassShift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The mix of answers against that of the reference."""

    classes: tuple[ClassShare, ...]
    js: float
    js_null_95: float
    js_null_999: float
    shifted: Annotated[
        bool,
        Meta(
            description="8·`js`, about a PSI, is above the threshold of `psi`, and `js` above what chance does once in 1,000"
        ),
    ]


class Drift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raw scores against a reference, each measure with what chance alone would show in 95 of 100 cases."""

    model: str
    version: str | None
    segment: str
    start: Moment
    end: Moment
    reference_kind: Annotated[
        ReferenceKind,
        Meta(
            description="a declared range, the window just before, what the calibrator in service was fitted on, or the validation set"
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
        float | None, Meta(description="in units of confidence; null of other scores than confidences")
    ]
    wasserstein_null_95: float | None
    class_shift: Annotated[ClassShift | None, Meta(description="null where answers are not classes that are counted")]
    threshold: float
    enough: Annotated[bool, Meta(description="both sides have the model's `minimum_labels` of predictions")]
    drifted: bool

    @property
    def over(self) -> tuple[int, int]:
        """Beginning and end of the window, in microseconds."""
        return micros(self.start), micros(self.end)
