"""The demo, run as anybody runs it and watched through its server's API."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import urllib3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

HTTP = urllib3.PoolManager(timeout=10.0, retries=False)
MODEL = "/v1/models/digits"
ASKED = ("/alerts", "/calibrators", "/audit", "")
STAYS_UP = "Ctrl-C ends"


@dataclass
class Demo:
    """A run of the demo: what it printed, and what its server's API last answered."""

    process: "subprocess.Popen[str]"
    port: int
    lines: list[str] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> None:
        """Return once the demo has printed these words."""
        while words not in self.text:
            assert self.process.poll() is None, self.text
            time.sleep(0.05)

    def ended(self) -> int:
        """Return the demo's status once it has ended, watching its API until then."""
        while self.process.poll() is None:
            self.ask()
            time.sleep(0.3)
        return self.process.returncode

    def ask(self) -> None:
        """Keep what the API says now, if it answers."""
        for path in ASKED:
            try:
                answer = HTTP.request("GET", f"http://127.0.0.1:{self.port}{MODEL}{path}")
            except urllib3.exceptions.HTTPError:
                return
            if answer.status == 200:
                self.answers[path] = msgspec.json.decode(answer.data)

    def folder(self) -> Path:
        """Return where the demo said that its server's files are."""
        found = re.search(r"\S*calwatch-demo-\S+", self.text)
        assert found is not None, self.text
        return Path(found[0])


@contextmanager
def running(*arguments: str) -> Iterator[Demo]:
    """Run the demo on a free port; whatever happens, nothing of it remains."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor.demo", *arguments, "--port", str(port)],
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "400"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    demo = Demo(process, port)
    assert process.stdout is not None
    reader = threading.Thread(target=demo.lines.extend, args=(process.stdout,))
    reader.start()
    try:
        yield demo
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)
        reader.join(timeout=60)  # ends with the last process that holds the pipe


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def story() -> Demo:
    with running("--exit") as demo:
        demo.ended()
    return demo


@pytest.fixture(scope="module")
def control() -> Iterator[Demo]:
    """Run the control, and let it stay up until somebody stops it."""
    with running("--shuffle-labels") as demo:
        demo.wait_for(STAYS_UP)
        demo.ask()
        yield demo


def alarms(demo: Demo) -> list[Any]:
    """Return the transitions of alarms on calibration, oldest first."""
    return [each for each in demo.answers["/alerts"]["alerts"] if each["kind"] == "miscalibration"][::-1]


def ece_of(demo: Demo, period: str) -> float:
    """Return ECE from the line of the last table that begins with a period's name."""
    line = next(line for line in demo.lines if line.strip().startswith(period))
    return float(line.replace(period, "").split()[3])


def test_demo_ends_well(story: Demo) -> None:
    assert story.process.returncode == 0, story.text
    assert "Missing" not in story.text
    assert "Traceback" not in story.text


def test_demo_shows_an_alarm_with_its_evidence(story: Demo) -> None:
    fired = alarms(story)[0]
    assert fired["state"] == "firing"
    assert fired["evidence"]["e_value"] >= 1 / fired["evidence"]["level"]
    assert fired["evidence"]["direction"] == "overconfident"
    assert fired["evidence"]["summary"] in " ".join(story.text.split())  # long lines are wrapped


def test_demo_fires_no_alarm_before_the_shift(story: Demo) -> None:
    shift = next(place for place, line in enumerate(story.lines) if "scanner fails" in line)
    assert not any("Alarm" in line for line in story.lines[:shift])
    assert any("Alarm on calibration firing" in line for line in story.lines[shift:])


def test_demo_has_its_calibrator_promoted_by_the_system_alone(story: Demo) -> None:
    audit = story.answers["/audit"]["audit"]
    assert {each["actor"] for each in audit} == {"calwatch"}
    assert ["register", "promote"] == [each["action"] for each in audit if each["action"] != "refuse"][:2]
    first = story.answers["/calibrators"]["calibrators"][-1]
    assert first["gate"]["passed"]
    assert first["gate"]["reason"] in story.text


def test_demo_brings_down_the_ece_of_what_is_served(story: Demo) -> None:
    broken, repaired = ece_of(story, "after it, as it came"), ece_of(story, "after the promotion")
    assert ece_of(story, "before the shift") < 0.05
    assert broken > 0.1
    assert repaired < 0.05
    assert ece_of(story, "had nothing been done") > 0.1


def test_demo_leaves_neither_server_nor_files(story: Demo) -> None:
    assert not listens(story.port)
    assert not story.folder().exists()


def test_control_alarms_on_shuffled_labels(control: Demo) -> None:
    assert alarms(control)[0]["state"] == "firing"


def test_control_has_its_refits_refused_with_a_reason(control: Demo) -> None:
    refusals = [each for each in control.answers["/audit"]["audit"] if each["action"] == "refuse"]
    assert refusals
    assert {each["actor"] for each in refusals} == {"calwatch"}
    assert all(each["detail"]["reason"] for each in refusals)
    assert f"Refit refused: {refusals[0]['detail']['reason']}" in control.text


def test_control_registers_no_calibrator(control: Demo) -> None:
    found = control.answers["/calibrators"]
    assert (found["calibrators"], found["champion"], found["challenger"]) == ([], None, None)


def test_control_serves_on_until_it_is_interrupted(control: Demo) -> None:
    before = control.answers[""]["predictions"]
    deadline = time.monotonic() + 120
    while control.answers[""]["predictions"] <= before:  # one in twelve seconds, in real time
        assert time.monotonic() < deadline, control.text
        time.sleep(0.5)
        control.ask()
    control.process.send_signal(signal.SIGINT)
    assert control.process.wait(timeout=60) == 0
    assert not listens(control.port)
    assert not control.folder().exists()
    assert "Traceback" not in control.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_demo_ends_its_server_when_interrupted_amid_the_story(number: signal.Signals) -> None:
    with running() as demo:
        demo.wait_for("Calibrated: ECE")
        assert listens(demo.port)
        demo.process.send_signal(number)
        assert demo.process.wait(timeout=60) == 130
    assert not listens(demo.port)
    assert not demo.folder().exists()
    assert "Traceback" not in demo.text


def test_demo_says_that_its_port_is_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = subprocess.run(
            [sys.executable, "-m", "monitor.demo", "--exit", "--port", str(port)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert found.returncode == 1
    assert f"port {port} is in use" in found.stdout
    assert "Traceback" not in found.stdout + found.stderr
