"""Quantities: the types of counts, ratios and times in records that are stored and answered."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Ratio = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Moment = Annotated[datetime, Meta(tz=True)]
