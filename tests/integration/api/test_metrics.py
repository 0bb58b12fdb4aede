"""A real Prometheus scrapes two real servers that share one database."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.session import could_not_run

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
DASHBOARD = ROOT / "grafana" / "calibration.json"

MODEL = 'credit/risk "v2"'
SMALL, LATE, ETA = "small", "late", "eta"
MODELS = [MODEL, ETA, LATE, SMALL]
FINE, BROKEN, FEW = 2000, 2400, 100
NARROW = 1200
"""How many predictions of the regression there are, whose intervals are half as wide as they should be."""

REJECTED, REPEATED, CONFLICTING = 3, 5, 2
PATIENCE = 60.0

# Names and labels that others build against.
PLACE = {"model", "model_version", "segment", "window"}
CONTRACT = {
    "calibration_ece_ratio": PLACE,
    "calibration_ece_lower_bound_ratio": PLACE,
    "calibration_brier_score": PLACE,
    "calibration_log_loss": PLACE,
    "calibration_mce_ratio": PLACE,
    "calibration_accuracy_ratio": PLACE,
    "calibration_auc_ratio": PLACE,
    "calibration_lean_ratio": PLACE,
    "calibration_verdict": PLACE,
    "calibration_crps": PLACE,
    "calibration_e_value_log": PLACE,
    "calibration_e_value_log_threshold": PLACE,
    "calibration_expected_accuracy_ratio": PLACE,
    "calibration_expected_ece_ratio": PLACE,
    "calibration_segment_flagged": PLACE,
    "calibration_drift_psi": PLACE,
    "calibration_window_samples": PLACE,
    "calibration_window_labelled_ratio": PLACE,
    "calibration_window_end_timestamp_seconds": PLACE,
    "calibration_threshold": {"model", "metric"},
    "calibration_alert_active": PLACE | {"kind"},
    "calibration_bin_confidence_ratio": PLACE | {"bin"},
    "calibration_bin_observed_ratio": PLACE | {"bin"},
    "calibration_bin_samples": PLACE | {"bin"},
    "calibration_calibrator_info": {"model", "calibrator_version", "method", "sha256"},
    "calibration_calibrator_version": {"model"},
    "calibration_proposal_waiting": {"model"},
    "calibration_events_ingested_total": {"event_type"},
    "calibration_events_rejected_total": {"model", "reason"},
    "calibration_events_duplicate_total": set(),
    "calibration_label_conflicts_total": {"model"},
    "calibration_journal_backlog_events": set(),
    "calibration_rollup_lag_seconds": set(),
    "calibration_job_last_success_timestamp_seconds": {"job"},
}
SCORES = {
    "calibration_ece_ratio": "ece",
    "calibration_ece_lower_bound_ratio": "ece_lower_bound",
    "calibration_ece_null_mean_ratio": "ece_null_mean",
    "calibration_brier_score": "brier",
    "calibration_log_loss": "log_loss",
    "calibration_mce_ratio": "mce",
    "calibration_accuracy_ratio": "accuracy",
    "calibration_auc_ratio": "auc",
    "calibration_lean_ratio": "lean",
}
COUNTS = {"calibration_window_samples": "predictions", "calibration_window_labelled_ratio": "label_coverage"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A Prometheus and the two servers that it scrapes."""

    http: httpx.Client
    prometheus: str
    server: str
    replica: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives now."""
        answer = self.http.get(f"{self.prometheus}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """Return the one value that was scraped from the first server, None without any."""
        found = self.query(selector(name, **labels, instance=self.server.removeprefix("http://")))
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def api(self, path: str = "", model: str = MODEL, **parameters: str) -> Any:
        """Return what the API answers about a model."""
        answer = self.http.get(f"{self.server}/v1/models/{quote(model, safe='')}{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


def selector(name: str, **labels: str) -> str:
    return f"{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in labels.items())}}}"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        could_not_run(name, "install Debian's package prometheus")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(log: Path, *command: str | Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the log's folder, and end it by its own process id."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("CALWATCH_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=log.parent, env=inherited | environment, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(look: Callable[[], Any], what: str, logs: Path, *, alive: Callable[[], bool] = lambda: True) -> None:
    """Return once something holds; say what did not, with the ends of all logs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(httpx.TransportError):
            if look():
                return
        if time.monotonic() > deadline or not alive():
            ends = "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in sorted(logs.glob("*.log")))
            pytest.fail(f"waited in vain for {what}\n{ends}")
        time.sleep(0.1)


def until_answers(http: httpx.Client, url: str, process: subprocess.Popen[bytes], logs: Path) -> None:
    until(lambda: http.get(url).status_code == 200, url, logs, alive=lambda: process.poll() is None)


@contextmanager
def server(http: httpx.Client, folder: Path, name: str, *options: str) -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        Path(sys.executable).with_name("calwatch"),
        "serve",
        "--port",
        url.rpartition(":")[2],
        *options,
    ]
    environment = {
        "CALWATCH_DATABASE_URL": f"sqlite:///{folder / 'calwatch.db'}",
        "CALWATCH_ROLLUP_SECONDS": "0.2",
        "CALWATCH_EVALUATE_SECONDS": "1",
    }
    with running(folder / f"{name}.log", *command, **environment) as process:
        until_answers(http, f"{url}/readyz", process, folder)
        yield url


@contextmanager
def prometheus(http: httpx.Client, folder: Path, *targets: str) -> Iterator[str]:
    """Run a Prometheus with our own alert rules, that scrapes as it does by default, only more often."""
    url = f"http://127.0.0.1:{free_port()}"
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "calwatch", "static_configs": [{"targets": [url.removeprefix("http://") for url in targets]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--log.level=warn",
    ]
    with running(folder / "prometheus.log", *command) as process:
        until_answers(http, f"{url}/-/ready", process, folder)
        yield url


def events_of(
    model: str, confidence: np.ndarray, outcome: np.ndarray, start: datetime, **fields: Any
) -> list[dict[str, Any]]:
    """Return an hour of predictions with their labels."""
    found = []
    for number, (p, y) in enumerate(zip(confidence, outcome, strict=True)):
        event = {"event_id": f"{start.hour}-{number}", "model": model}
        at = (start + timedelta(hours=1) * number / len(confidence)).isoformat()
        segments = {"country": "de" if number % 2 else "fr"}
        found.append(event | {"type": "prediction", "timestamp": at, "probability": p, "segments": segments} | fields)
        found.append(event | {"type": "label", "label": int(y)})
    return found


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def feed(http: httpx.Client, url: str) -> None:
    """Send an hour that is calibrated, then one whose temperature is off; of another model too little to judge.

    Of a third model the labels of the last hour are still to come, and a fourth one is a regression that is too sure of itself, watched
    by the sequential test.
    """
    rng = np.random.default_rng(20260105)
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    settings = {
        "task": "binary",
        "windows": ["1h", "24h"],
        "segments": ["country"],
        "label_delay": "0s",
        "minimum_labels": 300,
        "recalibration": "auto",
        "alert_policy": "window",
    }
    declared = {
        MODEL: settings,
        SMALL: settings,
        LATE: {**settings, "label_delay": "1h"},
        ETA: {**settings, "task": "regression", "alert_policy": "sequential", "recalibration": "off"},
    }
    for name, wanted in declared.items():
        answer = http.put(f"{url}/v1/models/{quote(name, safe='')}", json=wanted)
        assert answer.status_code < 300, answer.text
    logit = rng.normal(0, 1.5, FINE + BROKEN)
    outcome = rng.random(logit.size) < sigmoid(logit)
    hot = sigmoid(2.5 * logit)
    fine = events_of(MODEL, sigmoid(logit[:FINE]), outcome[:FINE], end - timedelta(hours=2), model_version="1")
    broken = events_of(MODEL, hot[FINE:], outcome[FINE:], end - timedelta(hours=1), model_version="1")
    small = events_of(SMALL, hot[:FEW], outcome[:FEW], end - timedelta(hours=1))
    known = events_of(LATE, sigmoid(logit[:FINE]), outcome[:FINE], end - timedelta(hours=2), model_version="1")
    coming = events_of(LATE, sigmoid(logit[FINE:]), outcome[FINE:], end - timedelta(hours=1), model_version="1")[::2]
    narrow = narrow_events(rng, end - timedelta(hours=1))
    for batch in (
        known,
        coming,
        narrow,
        fine,
        broken + small,
        fine[: 2 * REPEATED : 2],
        contradicting(fine),
        [{"type": "label"}] * REJECTED + small[:1],
    ):
        answer = http.post(f"{url}/v1/events", json={"events": batch})
        assert answer.status_code == 200, answer.text


def narrow_events(rng: np.random.Generator, start: datetime) -> list[dict[str, Any]]:
    """Return an hour of a regression whose labels are twice as far off as it says."""
    found = []
    for number, (mean, error) in enumerate(zip(rng.normal(30, 5, NARROW), rng.normal(0, 2, NARROW), strict=True)):
        event = {"event_id": str(number), "model": ETA}
        at = (start + timedelta(hours=1) * number / NARROW).isoformat()
        found.append(event | {"type": "prediction", "timestamp": at, "mean": mean, "std": 1.0, "model_version": "1"})
        found.append(event | {"type": "label", "label": mean + error})
    return found


def contradicting(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**event, "label": 1 - event["label"]} for event in events[1 : 2 * CONFLICTING : 2]]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Yield a Prometheus that has seen a model break and be repaired."""
    folder = tmp_path_factory.mktemp("watched")
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(timeout=30))
        first = stack.enter_context(server(http, folder, "server"))
        second = stack.enter_context(server(http, folder, "replica", "--no-jobs"))
        scraper = stack.enter_context(prometheus(http, folder, first, second))
        watch = Watched(http=http, prometheus=scraper, server=first, replica=second)
        feed(http, first)
        settled = {
            f"{selector('calibration_window_samples', model=MODEL, window='1h', segment='')} == {BROKEN}": 2,
            f"{selector('calibration_window_samples', model=SMALL, window='1h', segment='')} == {FEW}": 2,
            "calibration_journal_backlog_events == 0": 2,
            "calibration_alert_active{kind='miscalibration',window='1h'} == 1": 2,
            f"{selector('calibration_calibrator_version', model=MODEL)} == 1": 2,
            'ALERTS{alertname="CalibrationMiscalibrated",alertstate="firing",window="1h"}': 1,
            selector("calibration_expected_ece_ratio", model=LATE, window="1h"): 2,
            'ALERTS{alertname="CalibrationMiscalibrated",alertstate="firing",window="sequential"}': 1,
            "count_over_time(up[1m]) > 3": 2,
        }
        for expression, count in settled.items():
            until(lambda: len(watch.query(expression)) == count, expression, folder)  # noqa: B023 - called at once
        yield watch


@pytest.mark.parametrize("segment", ["", "country:de"])
@pytest.mark.parametrize("window", ["1h", "24h"])
def test_figures_in_prometheus_are_those_of_the_api(watched: Watched, window: str, segment: str) -> None:
    place = {"model": MODEL, "model_version": "1", "segment": segment, "window": window}

    told = watched.api("/calibration", window=window, version="1", segment=segment)

    assert told["predictions"] == {"1h": BROKEN, "24h": FINE + BROKEN}[window] // (2 if segment else 1)
    for name, field in (SCORES | COUNTS).items():
        assert told[field] == watched.value(name, **place), name
    ends = datetime.fromtimestamp(watched.value("calibration_window_end_timestamp_seconds", **place) or 0, UTC)
    assert datetime.fromisoformat(told["end"]) == ends


def test_the_reliability_diagram_is_that_of_the_api(watched: Watched) -> None:
    place = {"model": MODEL, "model_version": "1", "segment": "", "window": "1h"}

    points = watched.api("/calibration", window="1h", version="1")["reliability"]

    assert len(points) == 15
    assert sum(point["count"] for point in points) == BROKEN
    for point in points:
        edge = f"{point['upper']:.4g}"
        assert point["count"] == watched.value("calibration_bin_samples", **place, bin=edge)
        assert point["observed"] == watched.value("calibration_bin_observed_ratio", **place, bin=edge)
        assert point["mean_confidence"] == watched.value("calibration_bin_confidence_ratio", **place, bin=edge)


def test_drift_in_prometheus_is_that_of_the_api(watched: Watched) -> None:
    told = watched.api("/drift", window="1h", version="1")

    assert told["psi"] > 0.2
    assert told["psi"] == watched.value(
        "calibration_drift_psi", model=MODEL, model_version="1", segment="", window="1h"
    )


def test_tests_and_estimates_in_prometheus_are_those_of_the_api(watched: Watched) -> None:
    (tested,) = watched.api("/evidence", model=ETA)["evidence"]
    expected = watched.api("/estimate", model=LATE, window="1h")["past"][-1]  # stored once an hour of the model's time
    place = {"model": LATE, "model_version": "1", "segment": "", "window": "1h"}

    alarm = watched.value("calibration_threshold", model=ETA, metric="e_value_log")
    assert alarm == pytest.approx(np.log(1 / tested["level"]))
    assert alarm == tested["fires_at"] == watched.value("calibration_e_value_log_threshold", model=ETA)
    assert alarm < tested["log_e_peak"] == watched.value("calibration_e_value_log", model=ETA)
    for figure in ("accuracy", "ece"):
        assert expected[figure] == watched.value(f"calibration_expected_{figure}_ratio", **place)


def test_the_crps_in_prometheus_is_that_of_the_api(watched: Watched) -> None:
    place = {"model": ETA, "model_version": "1", "segment": "", "window": "1h"}

    assert watched.api("/calibration", model=ETA, window="1h")["crps"] == watched.value("calibration_crps", **place)


def test_thresholds_in_prometheus_are_the_model_s(watched: Watched) -> None:
    for metric, value in watched.api()["thresholds"].items():
        assert value == watched.value("calibration_threshold", model=MODEL, metric=metric)


def test_active_alarms_in_prometheus_are_those_of_the_api(watched: Watched) -> None:
    newest: dict[tuple[str, ...], float] = {}
    for alert in watched.api("/alerts")["alerts"]:
        place = (alert["kind"], alert["version"], alert["segment"], alert["window"])
        newest.setdefault(place, float(alert["state"] == "firing"))

    assert newest["miscalibration", "1", "", "1h"] == 1
    for (kind, version, segment, window), active in newest.items():
        labels = {"model": MODEL, "model_version": version, "segment": segment, "window": window, "kind": kind}
        assert active == watched.value("calibration_alert_active", **labels)


def test_the_promoted_calibrator_is_the_one_in_prometheus(watched: Watched) -> None:
    champion = watched.api("/calibrators/champion")

    place = {"calibrator_version": str(champion["number"]), "method": champion["method"], "sha256": champion["sha256"]}
    assert watched.value("calibration_calibrator_info", model=MODEL, **place) == 1
    assert watched.value("calibration_calibrator_version", model=MODEL) == champion["number"] == 1
    assert watched.value("calibration_calibrator_version", model=SMALL) == 0


def test_counters_count_what_was_sent(watched: Watched) -> None:
    whole = FINE + BROKEN + FEW + (FINE + BROKEN) + NARROW
    repeated = REPEATED + 1

    assert watched.value("calibration_events_ingested_total", event_type="prediction") == whole + repeated
    assert watched.value("calibration_events_ingested_total", event_type="label") == whole - BROKEN + CONFLICTING
    assert watched.value("calibration_events_duplicate_total") == repeated
    assert total(watched, "max by (model) (calibration_label_conflicts_total)") == CONFLICTING
    assert total(watched, "max by (model, reason) (calibration_events_rejected_total)") == REJECTED


def total(watched: Watched, query: str) -> float:
    return sum(float(each["value"][1]) for each in watched.query(query))


def test_too_few_labels_omit_the_score_and_keep_the_counts(watched: Watched) -> None:
    place = {"model": SMALL, "segment": "", "window": "1h"}

    told = watched.api("/calibration", model=SMALL, window="1h")

    assert told["verdict"] == "too_few_labels"
    for name in (*SCORES, "calibration_drift_psi", "calibration_bin_samples"):
        assert watched.query(selector(name, model=SMALL)) == [], name
    assert watched.value("calibration_window_samples", **place) == FEW
    assert watched.value("calibration_window_labelled_ratio", **place) == 1
    assert watched.value("calibration_window_end_timestamp_seconds", **place) is not None


def test_a_second_replica_says_the_same(watched: Watched) -> None:
    """All but what moves with the clock between two scrapes."""

    def of(url: str) -> set[tuple[str, float]]:
        found = watched.query(f'{{__name__=~"calibration_.+", instance="{url.removeprefix("http://")}"}}')
        return {
            (
                json.dumps({key: value for key, value in each["metric"].items() if key != "instance"}),
                float(each["value"][1]),
            )
            for each in found
            if each["metric"]["__name__"] != "calibration_job_last_success_timestamp_seconds"
        }

    assert len(of(watched.server)) > 100
    assert of(watched.server) == of(watched.replica)


def test_names_and_labels_are_those_that_others_build_against(watched: Watched) -> None:
    exported: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(watched.http.get(f"{watched.server}/metrics").text):
        for sample in family.samples:
            exported.setdefault(sample.name, set()).update(sample.labels)

    assert {name: exported.get(name) for name in CONTRACT} == CONTRACT
    assert [name for name in exported if not name.startswith("calibration_")] == []


PANELS_OF_OTHERS = {
    "Accuracy: expected and observed": LATE,
    "ECE: expected and observed": LATE,
    "CRPS (regressions)": ETA,
    "Evidence (natural logarithm of the e-value)": ETA,
}
"""What has nothing to show of a model whose labels have all come, that is no regression, and whose tests begin afresh."""


def dashboard_expressions() -> list[tuple[str, str]]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())]


@pytest.mark.parametrize("segment", ["^$", "country:de"])
def test_every_expression_of_the_dashboard_returns_data(watched: Watched, segment: str) -> None:
    chosen = {
        "$model_version": ".*",
        "$window": "1h",
        "$segment": segment,
        "$__rate_interval": "10s",
        "$__range": "1m",
    }
    expressions = dashboard_expressions()
    silent = []
    for title, expression in expressions:
        shown = PANELS_OF_OTHERS.get(title, MODEL)
        if shown == ETA and segment != "^$":
            continue  # it has no segments
        asked = expression
        for name, value in (chosen | {"$model": json.dumps(shown)[1:-1]}).items():
            asked = asked.replace(name, value)
        assert "$" not in asked.replace("^$", "")
        values = [float(each["value"][1]) for each in watched.query(asked)]
        if not values or any(np.isnan(values)):
            silent.append((title, asked, values))

    assert len(expressions) > 30
    assert silent == []


def test_the_dashboard_s_reliability_diagram_is_that_of_the_api(watched: Watched) -> None:
    points = watched.api("/calibration", window="1h", version="1")["reliability"]
    asked = [expression for title, expression in dashboard_expressions() if title == "Reliability"]
    chosen = {"$model_version": ".*", "$model": json.dumps(MODEL)[1:-1], "$window": "1h"}

    for expression, field in zip(asked, ("mean_confidence", "observed", "mean_confidence", "count"), strict=True):
        query = expression
        for name, value in chosen.items():
            query = query.replace(name, value)
        seen = {each["metric"]["bin"]: float(each["value"][1]) for each in watched.query(query)}
        assert seen == pytest.approx({f"{point['upper']:.4g}": point[field] for point in points if point["count"]})


def test_what_a_reader_may_choose_comes_from_prometheus(watched: Watched) -> None:
    found = {}
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("definition", ""))
        if asked is not None:
            match = asked[1].replace("$model", json.dumps(MODEL)[1:-1])
            answer = watched.http.get(
                f"{watched.prometheus}/api/v1/label/{asked[2]}/values", params={"match[]": match}
            ).json()
            found[variable["name"]] = answer["data"]

    assert found == {
        "model": MODELS,
        "model_version": ["1"],
        "window": ["1h", "24h"],
        "segment": ["country:de", "country:fr"],
    }


def test_alert_rules_load_and_only_those_that_should_fire_do(watched: Watched) -> None:
    groups = watched.http.get(f"{watched.prometheus}/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]

    assert len(rules) == 14
    assert {rule["name"]: rule["health"] for rule in rules if rule["health"] != "ok"} == {}
    firing = {
        (rule["name"], each["labels"].get("window"))
        for rule in rules
        if rule["state"] == "firing"
        for each in rule["alerts"]
    }
    assert {("CalibrationMiscalibrated", "1h"), ("CalibrationMiscalibrated", "sequential")} <= firing
    # Segments of the broken model are off as well; their alert follows when their tests have bet enough.
    should_fire = {"CalibrationMiscalibrated", "CalibrationSegmentMiscalibrated", "CalibrationScoreDrift"}
    assert {name for name, _ in firing} <= should_fire


def test_an_alert_names_the_model_and_its_error(watched: Watched) -> None:
    alerts = watched.http.get(f"{watched.prometheus}/api/v1/alerts").json()["data"]["alerts"]
    told = watched.api("/calibration", window="1h", version="1")

    found = [
        each
        for each in alerts
        if each["labels"].items() >= {"alertname": "CalibrationMiscalibrated", "window": "1h"}.items()
    ]
    assert len(found) == 1
    assert found[0]["labels"]["model"] == MODEL
    assert MODEL in found[0]["annotations"]["summary"]
    error = float(re.findall(r"at least ([\d.]+)%", found[0]["annotations"]["description"])[0]) / 100
    assert error == pytest.approx(told["ece_lower_bound"], rel=1e-3)


def test_the_image_s_healthcheck_tells_a_ready_server_from_none(watched: Watched) -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    _, option, code = json.loads(re.findall(r"HEALTHCHECK (?:.*\\\n)?\s*CMD (\[.+\])", dockerfile)[0])

    def check(port: str) -> int:
        command = [sys.executable, option, code.replace(":8080/", f":{port}/")]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert check(watched.server.rpartition(":")[2]) == 0
    assert check(str(free_port())) != 0


def test_promtool_finds_nothing_wrong_with_the_metrics(watched: Watched) -> None:
    text = watched.http.get(f"{watched.server}/metrics").text

    found = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "command",
    [("check", "rules", RULES.name), ("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yaml")],
)
def test_promtool_accepts_what_is_deployed(command: tuple[str, ...]) -> None:
    found = subprocess.run(
        [program("promtool"), *command], cwd=RULES.parent, capture_output=True, text=True, check=False
    )

    assert found.returncode == 0, found.stdout + found.stderr
