"""Which events a canary serves: those whose hash falls under its share, the same ones in every process and every language.

The hash is BLAKE2b with a digest of 8 bytes over model, number and event id in UTF-8, the first two followed by a line feed each. Its
first 53 bits over 2^53 are a number in [0, 1) that a double holds exactly; the canary serves the event where that is under the share.
The model and the number salt it: the events of one canary say nothing about those of the next.
"""

from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 8
BITS: Final = 53
"""Of a double's significand: what is under a share here is so wherever it is computed."""


class Lot:
    """Draws the events of one canary."""

    def __init__(self, model: str, number: int) -> None:
        self._salted = blake2b(f"{model}\n{number}\n".encode(errors="surrogatepass"), digest_size=DIGEST_BYTES)

    def of(self, event_id: str) -> float:
        """Return an event's number in [0, 1).

        >>> Lot("churn", 3).of("order-1")
        0.8207580924984169
        """
        hashed = self._salted.copy()
        hashed.update(event_id.encode(errors="surrogatepass"))
        return float(int.from_bytes(hashed.digest(), "big") >> (8 * DIGEST_BYTES - BITS)) * 2.0**-BITS
