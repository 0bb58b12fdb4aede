"""Run all benchmarks, or those that are named: `python -m tests.benchmarks query rollup`."""

import sys

from tests.benchmarks import alarms, apply, decisions, decode, evaluate, query, rollback, rollup, segments, watch
from tests.benchmarks.measure import Ratio

PARTS = {
    "query": query.run,
    "rollup": rollup.run,
    "decode": decode.run,
    "apply": apply.run,
    "evaluate": evaluate.run,
    "alarms": alarms.run,
    "watch": watch.run,
    "rollback": rollback.run,
    "segments": segments.run,
    "decisions": decisions.run,
}


def show(ratio: Ratio | str) -> None:
    """Print one line, or a table."""
    if isinstance(ratio, str):
        print(f"{ratio}\n", flush=True)  # noqa: T201 - what a benchmark is for
        return
    limit = "" if ratio.limit is None else f"  ({ratio.limit})"
    print(f"{ratio.what:<78} {ratio.value:>9.2f}{limit}", flush=True)  # noqa: T201 - what a benchmark is for


def main() -> None:
    """Run what the arguments name."""
    for name in sys.argv[1:] or PARTS:
        for ratio in PARTS[name]():
            show(ratio)


main()
