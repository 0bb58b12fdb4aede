"""The client library for serving code; needs nothing of the server, and neither NumPy nor SciPy.

Client      logs predictions and labels, applies the calibrator in service
Calibrated  a calibrated value with its raw value and the calibrator's version
CalibratedDistribution   the same for a regression
Stats       counts of logged events by outcome

document_from   converts a calibrator fitted elsewhere into a document for `Client.register`

agreement, verbalized, token_logprobs   convert the output of a language model into fields of `Client.log`
average     the mean prediction of an ensemble
"""

from .answers import agreement, average, token_logprobs
from .champion import Calibrated
from .client import Client
from .convert import document_from
from .distributions import CalibratedDistribution
from .outbox import Stats
from .stated import verbalized

__all__ = [
    "Calibrated",
    "CalibratedDistribution",
    "Client",
    "Stats",
    "agreement",
    "average",
    "document_from",
    "token_logprobs",
    "verbalized",
]
