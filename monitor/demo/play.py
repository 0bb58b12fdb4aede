"""Play the demo from start to end: train, serve, break, watch, compare."""

import argparse
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import numpy as np
from rich.console import Console
from rich.text import Text

from .. import Client
from .digits import Classifier, split
from .screen import Screen
from .server import Api, DemoError, port_for, serving
from .story import ADDRESS, MODEL, Plan, Sight, Story, missing, missing_of_refusal, periods, what_is_left
from .traffic import Traffic

SEED: Final = 4
REFRESH_SECONDS: Final = 0.2
LIVE_SECONDS: Final = 2.0
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the demo; return 0 if it ended as expected, else 1."""
    asked = _parser().parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_interrupt)
    screen = Screen(Console())
    folder = Path(tempfile.mkdtemp(prefix="calwatch-demo-"))
    try:
        status = _demo(screen, folder, asked)
    except DemoError as error:
        screen.say(Text(f"The demo ends here: {error}", style="bold red"))
        status = 1
    except KeyboardInterrupt:
        screen.say("Stopped.")
        status = INTERRUPTED
    if status == 1 and any(folder.iterdir()):
        screen.say(f"What the server left, such as its log, is in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m monitor.demo",
        description="A real classifier goes wrong; the system notices, refits its calibrator and puts it in service.",
    )
    parser.add_argument("--exit", action="store_true", help="end after the story instead of serving on until Ctrl-C")
    parser.add_argument(
        "--shuffle-labels",
        action="store_true",
        help="a control: labels are shuffled too, so that no refit may pass the gate; ends well if none does",
    )
    parser.add_argument("--port", type=int, metavar="N", help="port to serve on (default: 8080, or any that is free)")
    return parser


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _demo(screen: Screen, folder: Path, asked: argparse.Namespace) -> int:
    port = port_for(asked.port)
    rng = np.random.default_rng(SEED)
    with screen.step(
        "a neural network is trained and calibrated on 1,100 handwritten digits; 697 others will be served"
    ):
        train, held_out, served = split(rng)
        classifier = Classifier.trained(train, held_out, rng)
    with ExitStack() as stack:
        with screen.step(f"a server with an SQLite file and its log in {folder}"):
            api = stack.enter_context(serving(folder, port))
        client = stack.enter_context(
            Client(api.url, MODEL, model_version="mlp-1", refresh_seconds=REFRESH_SECONDS, flush_seconds=0.1)
        )
        _say_where(screen, api)
        plan = Plan.until(datetime.now(UTC), shuffled=asked.shuffle_labels)
        api.put(ADDRESS, plan.settings())
        traffic = Traffic(client, classifier, served, np.random.default_rng(SEED), start=plan.start)
        story = Story(api=api, client=client, traffic=traffic, plan=plan, watcher=screen, shuffled=asked.shuffle_labels)
        with screen.live():
            sight = story.play()
        status = _conclude(screen, story, sight)
        if not asked.exit:
            _serve_on(screen, story)
    return status


def _say_where(screen: Screen, api: Api) -> None:
    for path, what in (("/", "the page"), ("/docs", "the API"), ("/metrics", "for Prometheus")):
        screen.say(Text.assemble("  ", (f"{api.url}{path}", "underline"), f"  {what}"))
    screen.say()


def _conclude(screen: Screen, story: Story, sight: Sight) -> int:
    compared = periods(story.api, story.plan, sight, story.traffic.corrected_since)
    screen.compare(compared)
    if story.shuffled:
        lacks = missing_of_refusal(sight, story.plan)
        praise = "As it should be: the alert fired, and with labels that mean nothing no calibrator passed the gate."
    else:
        lacks = missing(sight, compared, story.plan)
        praise = "The alert fired, a calibrator was fitted, judged and promoted by itself, and ECE is back under its threshold."
    screen.say()
    for lack in lacks:
        screen.say(Text(f"Missing: {lack}", style="bold red"))
    if not lacks:
        screen.say(Text(praise, style="bold green"))
    left = what_is_left(sight, compared)
    if left is not None:
        screen.say(Text(left, style="yellow"))
    screen.say()
    _say_where(screen, story.api)
    return 1 if lacks else 0


def _serve_on(screen: Screen, story: Story) -> None:
    """Let traffic go on in real time until somebody stops it."""
    screen.say("Traffic goes on in real time. Ctrl-C ends the demo and removes its files.")
    try:
        while True:
            story.step(datetime.now(UTC))
            time.sleep(LIVE_SECONDS)
    except KeyboardInterrupt:
        screen.say("Stopped.")
