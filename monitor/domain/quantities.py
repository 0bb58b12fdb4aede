"""The types of counts, ratios and times in records that are stored and answered.

Their bounds are described and not checked: records are made by calwatch itself, and stored ones must stay readable.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Ratio = Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": 1})]
Count = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
Moment = Annotated[datetime, Meta(tz=True)]
