"""The client library for serving code; needs nothing of the server, and neither NumPy nor SciPy.

Client      logs predictions and labels, applies the calibrator in service
lifespan    closes clients when a FastAPI or Starlette application ends
Calibrated  a calibrated value with its raw value and the calibrator's version
CalibratedDistribution   the same for a regression
Stats       counts of logged events by outcome

document_from   converts a calibrator fitted elsewhere into a document for `Client.register`

agreement, verbalized, token_logprobs   convert the output of a language model into fields of `Client.log`
self_consistency, ask_confidence   wrap calls of a language model so that they return such fields
CalibratedModel   an estimator in scikit-learn's manner that serves calibrated probabilities and logs them
average     the mean prediction of an ensemble
"""

from .answers import agreement, average, token_logprobs
from .asgi import lifespan
from .asking import ask_confidence, self_consistency
from .champion import Calibrated
from .client import Client
from .convert import document_from
from .distributions import CalibratedDistribution
from .estimators import CalibratedModel, Predictions
from .outbox import Stats
from .stated import verbalized

__all__ = [
    "Calibrated",
    "CalibratedDistribution",
    "CalibratedModel",
    "Client",
    "Predictions",
    "Stats",
    "agreement",
    "ask_confidence",
    "average",
    "document_from",
    "lifespan",
    "self_consistency",
    "token_logprobs",
    "verbalized",
]
