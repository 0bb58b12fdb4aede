"""Choose the events that a canary serves by a hash, the same in every process and language.

The hash is BLAKE2b with a digest of 8 bytes over model, number and event id in UTF-8, each of the first two followed by a line feed.
Its first 53 bits over 2^53 are a number in [0, 1), exact as a double; the canary serves the event if that is below its share. Model
and number are the salt, so that the events of one canary are independent of those of the next.
"""

from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 8
BITS: Final = 53
"""Bits of a double's significand, so that the number is exact everywhere."""


class Lot:
    """The random choice of one canary's events."""

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
