"""All kinds of alerts, one module each; API, metrics and documentation take their names from here."""

from typing import Final

from . import miscalibration, missing_labels, proposal, score_drift, segments, stale_clients
from .kind import Kind

KINDS: Final[tuple[Kind, ...]] = (
    miscalibration.KIND,
    segments.KIND,
    score_drift.KIND,
    missing_labels.KIND,
    proposal.KIND,
    stale_clients.KIND,
)
