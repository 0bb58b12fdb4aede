"""What deploy/ refers to exists, and its one script works."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.alert.kinds import KINDS
from monitor.runtime.config import Settings
from monitor.runtime.stages import jobs_of
from monitor.store import keys
from monitor.store.engine import Database

DEPLOY = Path(__file__).parents[3] / "deploy"
ROOT = DEPLOY.parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def test_compose_services_wait_for_services_that_can_meet_the_condition(compose: dict[str, Any]) -> None:
    services = compose["services"]
    waits = [(name, *each) for name, service in services.items() for each in service.get("depends_on", {}).items()]

    assert len(waits) >= 6
    for name, needed, how in waits:
        assert needed in services, f"{name} waits for {needed}, which is no service"
        if how["condition"] == "service_completed_successfully":
            assert services[needed]["restart"] == "no"
        else:
            assert how["condition"] == "service_healthy"
            checked = services[needed].get("healthcheck", {})
            own_image = "build" in services[needed]
            assert "test" in checked or (own_image and not checked.get("disable"))


def test_compose_mounts_files_that_exist_and_volumes_that_are_declared(compose: dict[str, Any]) -> None:
    used = set()
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), source
            else:
                used.add(source)

    assert used == set(compose["volumes"])


def test_compose_builds_from_a_dockerfile_that_exists(compose: dict[str, Any]) -> None:
    builds = [service["build"] for service in compose["services"].values() if "build" in service]

    assert len(builds) == 4
    for build in builds:
        assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_compose_takes_every_variable_from_the_example_and_no_secret_is_in_either() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    given = dict(
        line.split("=", 1)
        for line in (DEPLOY / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )

    assert asked == set(given)
    assert {value for name, value in given.items() if "PASSWORD" in name} == {""}


def test_compose_opens_ports_on_this_machine_only_by_default(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]

    assert len(ports) == 3
    assert [port for port in ports if not port.startswith("${LISTEN:-127.0.0.1}:")] == []


def test_compose_scrapes_and_draws_from_services_that_it_has(compose: dict[str, Any]) -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    drawn = yaml.safe_load((DEPLOY / "grafana" / "datasources.yaml").read_text())["datasources"][0]
    shown = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yaml").read_text())["providers"][0]

    assert scraped["static_configs"][0]["targets"] == ["server:8080"]
    assert compose["services"]["server"]["command"][-2:] == ["--port", "8080"]
    assert drawn["url"] == "http://prometheus:9090"
    assert any(
        volume.split(":")[1].rpartition("/")[0] == shown["options"]["path"]
        for volume in compose["services"]["grafana"]["volumes"]
    )


def test_compose_makes_the_first_key_once(
    compose: dict[str, Any], sqlite_url: str, sqlite_database: Database, tmp_path: Path
) -> None:
    service = compose["services"]["first-key"]
    script = service["command"][0].replace("$$", "$")
    key = tmp_path / "first.key"
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CALWATCH_DATABASE_URL": sqlite_url,
        "KEY_FILE": str(key),
    }

    def run() -> str:
        subprocess.run([*service["entrypoint"], script], env=environment, cwd=tmp_path, check=True, capture_output=True)
        return key.read_text().strip()

    first = run()

    assert re.fullmatch(r"cw_[\w-]{40,}", first)
    assert key.stat().st_mode & 0o077 == 0
    assert first == run()
    with sqlite_database.read() as connection:
        assert [name for _, name, _, _ in keys.listed(connection)] == ["first-key"]


def test_dockerfile_copies_what_exists_and_what_is_not_ignored() -> None:
    lines = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text()).splitlines()
    copied = [
        source for line in lines if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]
    ]
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}

    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert set(copied) == kept


def test_dockerfile_runs_as_nobody_special_and_starts_a_server() -> None:
    last = (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")[2]

    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE)
    assert 'ENTRYPOINT ["calwatch"]' in last
    assert 'CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]' in last


def test_alert_rules_name_only_jobs_that_are_scheduled(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    settings = Settings(webhook_url="http://127.0.0.1:9")
    scheduled = jobs_of(settings, database, now=lambda: 0, send=lambda _url, _body, _notice: None)
    matchers = re.findall(r'exported_job[!=]~?"([^"]*)"', (DEPLOY / "prometheus" / "rules.yaml").read_text())
    named = {name for matcher in matchers for name in matcher.split("|")}

    assert len(named) >= 2
    assert named <= set(scheduled)


def test_every_kind_of_alert_has_a_rule() -> None:
    rules = (DEPLOY / "prometheus" / "rules.yaml").read_text()

    assert re.findall(r'calibration_alert_active\{kind="(\w+)"\}', rules) == [kind.name for kind in KINDS]
