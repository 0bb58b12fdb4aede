"""What the API says of itself."""

import json
import re
from importlib import import_module
from pkgutil import iter_modules

import pytest
from openapi_spec_validator import validate

from monitor import alert
from monitor.alert.kind import Kind
from monitor.alert.kinds import KINDS
from monitor.api.settings import settings_of
from monitor.domain.settings import SETTINGS, TASKS, Model, ModelSettings
from monitor.store.audit import Action

OPERATIONS = ("get", "put", "post", "delete", "patch", "head")


@pytest.fixture
def document(sqlite_api):
    return sqlite_api.client.get("/openapi.json").json()


def operations(document):
    return [
        (f"{method.upper()} {path}", found[method])
        for path, found in document["paths"].items()
        for method in OPERATIONS
        if method in found
    ]


def test_the_description_is_valid(document):
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_call_is_described_by_a_sentence_with_its_parameters_and_answers(document):
    found = operations(document)
    assert len(found) >= 18
    for name, operation in found:
        assert operation["summary"], name
        assert operation["description"].rstrip().endswith("."), name
        described = [
            each for each in operation.get("parameters", []) if "description" in each or "default" in each["schema"]
        ]
        assert described == operation.get("parameters", []), name
        assert {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"} == set(
            re.findall(r"\{(\w+)\}", name)
        )
        if name not in {"GET /healthz", "GET /readyz", "GET /metrics"}:
            assert "default" in operation["responses"], name
            good = [code for code in operation["responses"] if code.startswith("2")]
            for code in good:
                schema = operation["responses"][code]["content"]["application/json"]["schema"]
                assert all("$ref" in each for each in schema.get("anyOf", [schema])), (name, code)


def test_errors_are_described_as_problems_only(document):
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for name, operation in operations(document):
        for code, answer in operation["responses"].items():
            if code == "default" or code.startswith(("4", "5")):
                assert set(answer["content"]) == {"application/problem+json"}, name


def test_bodies_are_described(document):
    bodies = {name: operation["requestBody"] for name, operation in operations(document) if "requestBody" in operation}
    assert set(bodies) == {
        "POST /v1/events",
        "PUT /v1/models/{model}",
        "POST /v1/models/{model}/calibrators",
        "POST /v1/models/{model}/calibrators/rollback",
        "POST /v1/models/{model}/calibrators/{number}/reject",
        "POST /v1/models/{model}/calibrators/{number}/promote",
        "POST /v1/models/{model}/calibrate",
        "POST /v1/models/{model}/predict-set",
        "POST /v1/models/{model}/replay",
    }
    assert bodies["POST /v1/models/{model}/replay"] == referring_to("ReplayBody")
    assert bodies["PUT /v1/models/{model}"] == referring_to("SettingsBody")
    schemas = document["components"]["schemas"]
    assert set(schemas["ReplayBody"]["properties"]) == {*SETTINGS, "start", "end", "step"}
    assert set(schemas["SettingsBody"]["properties"]) == set(SETTINGS)


def referring_to(name):
    return {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }


def test_every_reference_leads_to_a_schema(document):
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names <= set(document["components"]["schemas"])
    assert "$defs" not in json.dumps(document)


def test_the_described_settings_are_the_settings(document):
    model = Model(id=1, name="m", task=None, classes=None, settings=ModelSettings(), revision=1, created_at=0)
    actual = settings_of(model)
    schemas = document["components"]["schemas"]
    assert set(actual) == set(schemas["ModelSettings"]["properties"]) == set(schemas["ModelSettings"]["required"])
    assert set(actual) < set(schemas["ModelAnswer"]["properties"])
    described = {name: field["default"] for name, field in schemas["SettingsBody"]["properties"].items()}
    assert described == {name: actual[name] for name in described}
    properties = schemas["SettingsBody"]["properties"]
    assert properties["recalibration"]["enum"] == sorted(["off", "propose", "auto", "shadow"])
    assert properties["thresholds"]["propertyNames"]["enum"] == ["ece", "psi", "ratio"]
    assert properties["task"]["anyOf"][0]["enum"] == sorted(TASKS)


def test_every_setting_is_described_by_its_sentence_in_bodies_and_answers(document):
    schemas = document["components"]["schemas"]
    for name, setting in SETTINGS.items():
        assert setting.sentence.endswith(".")
        for schema in ("SettingsBody", "ReplayBody", "ModelSettings", "ModelAnswer"):
            field = schemas[schema]["properties"][name]
            assert field["description"] == setting.sentence, (schema, name)
            assert field.get("x-unit", "") == setting.type.unit, (schema, name)


def test_every_kind_of_alert_that_the_code_can_write_is_described(document):
    modules = [import_module(f"monitor.alert.{found.name}") for found in iter_modules(alert.__path__)]
    written = {module.KIND.name for module in modules if isinstance(getattr(module, "KIND", None), Kind)}
    assert written == {kind.name for kind in KINDS}
    schemas = document["components"]["schemas"]
    described = schemas["AlertAnswer"]["properties"]["kind"]
    assert sorted(described["enum"]) == sorted(written)
    for kind in KINDS:
        assert f"`{kind.name}`: {kind.sentence.rstrip('.')}" in described["description"]
    for answer in ("Alerts", "Replayed"):
        alerts = schemas[answer]["properties"]["alerts"]
        assert alerts["items"] == {"$ref": "#/components/schemas/AlertAnswer"}


def test_every_step_that_the_audit_log_can_hold_is_described(document):
    schemas = document["components"]["schemas"]
    assert schemas["Entry"]["properties"]["action"]["$ref"] == "#/components/schemas/Action"
    assert sorted(schemas["Action"]["enum"]) == sorted(Action)
    for action in Action:
        assert f"`{action}`: {action.sentence.rstrip('.')}" in schemas["Entry"]["properties"]["action"]["description"]


def test_an_example_of_events_is_taken_as_it_stands(sqlite_api, document):
    content = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    answer = sqlite_api.client.post("/v1/events", json=content["application/json"]["example"])
    assert answer.json() == {"accepted": 2, "rejected": []}


def test_the_documentation_needs_nothing_from_elsewhere(sqlite_api):
    page = sqlite_api.client.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert "//" not in page.text.replace("<!doctype html>", "")
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert sqlite_api.client.get(f"/{path}").status_code == 200, path
