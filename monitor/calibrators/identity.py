"""Identity: the calibrator that changes nothing, which every other one has to beat."""

from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike

from monitor.calibrators.document import check
from monitor.calibrators.rows import Floats, log_scores, single_rows, softmax_rows, vector_rows, vectors
from monitor.calibrators.rows import confidences as single_probabilities


class Identity:
    """Return the probabilities as they are.

    Parameters
    ----------
    task : `binary`, `confidence` or `multiclass`
    logits : X holds logits instead of probabilities (multiclass only)

    """

    method: ClassVar[str] = "identity"

    def __init__(self, *, task: str = "binary", logits: bool = False) -> None:
        self.task = task
        self.logits = logits

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Check the rows as every family does; there is nothing to learn."""
        if self.task == "multiclass":
            vector_rows(X, y, sample_weight, logits=self.logits)
        else:
            single_rows(X, y, sample_weight)
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return X, shape (n,) or (n, K), or the softmax of logits."""
        if self.task != "multiclass":
            return single_probabilities(X)
        return softmax_rows(log_scores(X, logits=True)) if self.logits else vectors(X)

    def to_document(self) -> dict[str, Any]:
        """Return the calibrator as plain JSON."""
        return check({"method": self.method, "task": self.task, "parameters": {}})._asdict()

    @classmethod
    def from_document(cls, document: Any, *, logits: bool = False) -> Self:
        """Return the calibrator that a document describes."""
        return cls(task=check(document).task, logits=logits)
