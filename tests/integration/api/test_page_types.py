"""The types of answers in the page's JavaScript: what they name is in the API's description."""

import re
from pathlib import Path

import monitor

SOURCE = (Path(monitor.__file__).parent / "api" / "static" / "types.js").read_text()
TYPES = {
    name: re.findall(r"@property \{.*\} (\w+)", body)
    for name, body in re.findall(r"@typedef \{object\} (\w+)\n(.*?)\*/", SOURCE, re.DOTALL)
}
OF_THE_PAGE = {"ModelCalls", "OpenApi"}


def test_a_type_has_only_fields_of_its_schema(sqlite_api):
    schemas = sqlite_api.client.get("/openapi.json").json()["components"]["schemas"]
    described = {(name, field) for name, schema in schemas.items() for field in schema.get("properties", {})}
    assert {(name, field) for name in TYPES.keys() - OF_THE_PAGE for field in TYPES[name]} - described == set()


def test_every_call_of_the_page_is_described(sqlite_api):
    paths = sqlite_api.client.get("/openapi.json").json()["paths"]
    assert [call for call in TYPES["ModelCalls"] if "get" not in paths.get(f"/v1/models/{{model}}/{call}", {})] == []
