"""What names may consist of, and how a calibrator is called in a sentence."""

import pytest

from monitor.domain.names import version_name


@pytest.mark.parametrize(
    ("number", "name"),
    [(3, "calibrator 3"), (None, "no calibrator"), (0, "no calibrator")],
)
def test_version_name_says_which_calibrator_or_none(number: int | None, name: str) -> None:
    assert version_name(number) == name
