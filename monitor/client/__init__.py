"""The SDK for serving code; depends on nothing of the server, and needs neither NumPy nor SciPy.

Client      what serving code holds: log, label, calibrate
Calibrated  a calibrated value together with where it came from
CalibratedDistribution   likewise, of a regression
Stats       what became of everything that was logged

document_from   a calibrator that was fitted elsewhere, as a document for `Client.register`

agreement, verbalized, token_logprobs   what a language model gave, as fields of `Client.log`
average     what the members of an ensemble say together
"""

from .answers import agreement, average, token_logprobs, verbalized
from .champion import Calibrated
from .client import Client
from .convert import document_from
from .distributions import CalibratedDistribution
from .outbox import Stats

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
