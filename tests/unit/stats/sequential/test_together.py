"""Several streams' tests advanced side by side: each as if it were alone."""

import numpy as np
import pytest

from monitor.stats.cells import Cells
from monitor.stats.sequential.at_least import LowerBounds
from monitor.stats.sequential.betting import SUMS, Entries
from monitor.stats.sequential.evidence import Evidence
from monitor.stats.sequential.stored import decoded, encoded
from monitor.stats.sequential.together import advanced_together

THRESHOLD = 0.02


def steps(streams: int, count: int, seed: int = 1) -> list[list[Cells | None]]:
    """Return steps of streams; some have no labels in some steps."""
    dice = np.random.default_rng(seed)
    drawn: list[list[Cells | None]] = []
    for _ in range(count):
        row: list[Cells | None] = []
        for stream in range(streams):
            p = dice.random(dice.integers(0, 60))
            y = dice.random(len(p)) < np.clip(p + 0.1 * (stream % 3 - 1), 0, 1)
            row.append(Cells.from_rows(p.tolist(), y.astype(int).tolist()) if len(p) else None)
        drawn.append(row)
    return drawn


def side_by_side(row: list[Cells | None]) -> Entries:
    parts = [(i, Entries.of(cells)) for i, cells in enumerate(row) if cells is not None]
    return Entries.gathered(
        len(row),
        np.concatenate([np.full(len(part.cell), i) for i, part in parts]),
        np.concatenate([part.cell for _, part in parts]),
        np.concatenate([np.stack([getattr(part, name) for name in SUMS], axis=1) for _, part in parts]),
    )


def test_each_stream_ends_in_the_state_that_it_reaches_alone() -> None:
    drawn = steps(streams=7, count=12)
    together, labels = advanced_together(
        [Evidence.begin() for _ in range(7)], [side_by_side(row) for row in drawn], threshold=THRESHOLD
    )
    for stream, test in enumerate(together):
        alone = Evidence.begin()
        for row in drawn:
            cells = row[stream]
            alone = alone if cells is None else alone.advanced(cells, threshold=THRESHOLD)
        assert (test.kind, test.labels, test.bets, test.steps) == ("cells", alone.labels, alone.bets, alone.steps)
        assert test.peaked == alone.peaked
        for name in ("wealth", "ratios", "gaps", "variances", "peak"):
            np.testing.assert_allclose(getattr(test.ledger, name), getattr(alone.ledger, name), atol=1e-9)
        assert labels[:, stream].tolist() == [0 if row[stream] is None else int(row[stream].n.sum()) for row in drawn]
        again = decoded(encoded(test))
        assert (again.log_e, again.labels) == (test.log_e, test.labels)


def test_no_lower_bounds_are_kept() -> None:
    (test,), _ = advanced_together([Evidence.begin()], [side_by_side(steps(1, 3)[2])], threshold=THRESHOLD)
    np.testing.assert_array_equal(test.at_least.wealth, LowerBounds.begin().wealth)


def test_a_stream_without_labels_stays_as_it_is() -> None:
    before = Evidence.begin()
    (test,), labels = advanced_together([before], [Entries.gathered(1, *_nothing())], threshold=THRESHOLD)
    assert test is before
    assert labels.tolist() == [[0]]


def _nothing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    none = np.zeros(0, dtype=np.int64)
    return none, none, np.zeros((0, len(SUMS)))


def test_steps_of_a_regression_are_not_mixed_with_those_of_confidences() -> None:
    regression = Evidence.begin().advanced_pit(np.full(20, 5.0), threshold=THRESHOLD)
    with pytest.raises(ValueError, match="of pit"):
        advanced_together([regression], [side_by_side(steps(1, 3)[2])], threshold=THRESHOLD)
