"""Estimator of distributions: the base of the families of regressions."""

from collections.abc import Sequence

from .distribution_rows import distributions, objects
from .estimator import Estimator
from .numeric import ArrayLike, Objects


class DistributionCalibrator(Estimator):
    """Base of families that map predictive distributions to predictive distributions."""

    def __init__(self, *, task: str = "regression", levels: Sequence[float] | None = None) -> None:
        self.task = task
        self.levels = levels

    def predict_proba(self, X: ArrayLike | Objects) -> Objects:  # type: ignore[override]  # distributions, not probabilities
        """Return calibrated distributions, shape (n,), by the form that serves the family's documents."""
        self.check_fitted()
        apply = self.family.distributions.scalar(self._parameters())
        return objects(map(apply, distributions(X, self.levels)))
