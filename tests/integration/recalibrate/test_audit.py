"""The steps of the audit log: declared once, and known to the description of the API and to the page."""

import re
from pathlib import Path

import pytest

import monitor
from monitor.store.audit import Action

SOURCES = Path(monitor.__file__).parent


def enumerated(document, schema):
    """Return the values that a field of an answer may have, each reference followed."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema["enum"]


def test_the_api_describes_every_step_that_can_be_written(sqlite_api):
    document = sqlite_api.client.get("/openapi.json").json()
    answer = document["paths"]["/v1/models/{model}/audit"]["get"]["responses"]["200"]["content"]["application/json"]
    audit = document["components"]["schemas"][answer["schema"]["$ref"].rpartition("/")[2]]
    entry = document["components"]["schemas"][audit["properties"]["audit"]["items"]["$ref"].rpartition("/")[2]]
    action = entry["properties"]["action"]
    assert set(enumerated(document, action)) == set(Action)
    assert all(f"`{step}`: {step.sentence[:-1]}" in action["description"] for step in Action)


@pytest.mark.parametrize("step", Action)
def test_every_step_is_written_somewhere(step):
    folders = (SOURCES / "recalibrate", SOURCES / "evaluation", SOURCES / "api" / "routes")
    written = "".join(path.read_text() for folder in folders for path in folder.glob("*.py"))
    assert re.search(rf"\bAction\.{step.name}\b", written)


@pytest.mark.parametrize("step", Action)
def test_the_page_has_a_sentence_for_every_step(step):
    page = "".join(path.read_text() for path in (SOURCES / "api" / "static").rglob("*.js"))
    assert re.search(rf"^\s+{step}: \(.*\) => ", page, re.MULTILINE)


def test_a_step_is_explained_by_one_sentence():
    for step in Action:
        assert re.fullmatch(r"[A-Z][^.]*\.", step.sentence)
