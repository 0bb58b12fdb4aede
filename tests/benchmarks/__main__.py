"""Run all benchmarks, or those that are named: `python -m tests.benchmarks query rollup`.

`--peers PYTHON` names an interpreter with packages that fits are held against and that are not installed here: netcal, probmetrics.
"""

import argparse
from typing import Any

from tests.benchmarks import (
    alarms,
    apply,
    decisions,
    decode,
    evaluate,
    fits,
    gate,
    query,
    rollback,
    rollup,
    segments,
    watch,
)
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
    "fits": fits.run,
    "gate": gate.run,
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
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    # The empty list is what argparse checks when there is no argument.
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="part", help=", ".join(PARTS))
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with packages to compare fits with")
    parser.add_argument("--seeds", type=int, default=gate.SEEDS, help="how many refits of each kind are simulated")
    given = parser.parse_args()
    options: dict[str, tuple[Any, ...]] = {"fits": (given.peers,), "gate": (given.seeds,)}
    for name in given.parts or PARTS:
        for ratio in PARTS[name](*options.get(name, ())):
            show(ratio)


main()
