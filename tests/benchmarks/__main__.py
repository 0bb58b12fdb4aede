"""Run all benchmarks, or those that are named: `python -m tests.benchmarks query rollup`; each writes its page in `docs/benchmarks`.

`--peers PYTHON` names an interpreter with packages to compare with that are not installed here: netcal and probmetrics for fits; probcal,
river and insurance-monitoring, pinned in `deploy/requirements/peers.txt`, for detectors.
"""

import argparse
import inspect
from typing import Any

from tests.benchmarks import (
    alarms,
    apply,
    decisions,
    decode,
    detectors,
    directions,
    emit,
    evaluate,
    fits,
    gate,
    guarantees,
    ingest,
    lateness,
    onsets,
    query,
    rare_events,
    remedies,
    rollback,
    rollup,
    segment_alerts,
    segments,
    sizing,
    watch,
)
from tests.benchmarks.measure import Ratio
from tests.benchmarks.report import write

PARTS = {
    "query": query,
    "rollup": rollup,
    "decode": decode,
    "ingest": ingest,
    "apply": apply,
    "emit": emit,
    "evaluate": evaluate,
    "alarms": alarms,
    "watch": watch,
    "guarantees": guarantees,
    "rare_events": rare_events,
    "detectors": detectors,
    "directions": directions,
    "lateness": lateness,
    "rollback": rollback,
    "segment_alerts": segment_alerts,
    "segments": segments,
    "decisions": decisions,
    "fits": fits,
    "gate": gate,
    "onsets": onsets,
    "remedies": remedies,
    "sizing": sizing,
}

COMPARED = ("fits", "detectors")
"""Parts that other packages take part in."""


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
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with packages to compare with")
    parser.add_argument("--seeds", type=int, default=gate.SEEDS, help="how many refits of each kind are simulated")
    arguments = parser.parse_args()
    options: dict[str, tuple[Any, ...]] = dict.fromkeys(COMPARED, (arguments.peers,)) | {"gate": (arguments.seeds,)}
    for name in arguments.parts or PARTS:
        results = []
        for result in PARTS[name].run(*options.get(name, ())):
            show(result)
            results.append(result)
        write(name, inspect.cleandoc(PARTS[name].__doc__ or ""), _named(name, arguments), results)


def _named(part: str, arguments: argparse.Namespace) -> list[str]:
    """Return the options that change what a part does, as a reader would give them."""
    if part == "gate" and arguments.seeds != gate.SEEDS:
        return ["--seeds", str(arguments.seeds)]
    return ["--peers", "PYTHON"] if part in COMPARED and arguments.peers else []


main()
