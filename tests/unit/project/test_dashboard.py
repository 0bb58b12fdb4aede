"""The dashboard in the repository is what its code makes."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

# The classic schema is the one that every Grafana in use reads from files.
pytestmark = pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")

FOLDER = Path(__file__).parents[3] / "grafana"


@pytest.fixture(scope="module")
def code() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calwatch_dashboard", FOLDER / "dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def panels() -> list[dict[str, Any]]:
    found = json.loads((FOLDER / "calibration.json").read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def test_dashboard_json_is_what_its_code_makes(code: ModuleType) -> None:
    assert code.text() == (FOLDER / "calibration.json").read_text(), "run `make dashboards`"


def test_dashboard_asks_only_the_chosen_data_source(panels: list[dict[str, Any]]) -> None:
    sources = [part["datasource"]["uid"] for panel in panels for part in (panel, *panel["targets"])]

    assert set(sources) == {"${datasource}"}


def test_dashboard_panels_say_what_they_show_and_do_not_overlap(panels: list[dict[str, Any]]) -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert [panel["id"] for panel in panels if not panel["title"] or not panel["description"]] == []
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_dashboard_reliability_diagram_plots_columns_that_its_queries_give(panels: list[dict[str, Any]]) -> None:
    (panel,) = (each for each in panels if each["type"] == "xychart")
    columns = {f"Value #{target['refId']}" for target in panel["targets"]}
    (organised,) = (each["options"] for each in panel["transformations"] if each["id"] == "organize")

    assert set(organised["renameByName"]) == columns
    plotted = {
        series[axis]["matcher"]["options"]
        for series in panel["options"]["series"]
        for axis in ("x", "y", "size")
        if axis in series
    }
    assert plotted == set(organised["renameByName"].values())
