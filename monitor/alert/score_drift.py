"""Alerts on score drift: the rule, evidence and words."""

from collections.abc import Mapping
from typing import Any, Final

from ..domain.times import parse_time
from .miscalibration import RESOLVED_SHARE
from .transitions import Finding

SCORE_DRIFT: Final = "score_drift"


def drift_finding(fields: Mapping[str, Any], window: str) -> Finding:
    """Return what a comparison with the reference says about the alarm on drift."""
    shown = ("psi", "psi_null_95", "psi_null_999", "ks", "ks_null_95", "js", "js_null_95", "predictions")
    about = ("reference_predictions", "start", "end", "reference_start", "reference_kind")
    evidence = {name: fields.get(name) for name in (*shown, *about)}
    value, threshold = fields["psi"], fields["threshold"]
    said = f"PSI over {window}, {0.0 if value is None else value:.3f}, is"
    return Finding(
        kind=SCORE_DRIFT,
        window=window,
        version=fields["version"],
        segment=fields["segment"],
        start=parse_time("start", fields["start"]),
        end=parse_time("end", fields["end"]),
        enough=fields["enough"] and value is not None,
        beyond=fields["drifted"],
        back=value is not None and value < RESOLVED_SHARE * threshold,
        claim=f"{said} above the threshold {threshold:g}",
        relief=f"{said} back under the threshold {threshold:g}",
        evidence=evidence | {"threshold": threshold},
    )
