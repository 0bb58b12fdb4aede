"""Addresses of models whose names have slashes, derived from the routes."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Path

from monitor.api.app import model_routes
from monitor.api.paths import Calls, Recognised

CALLS = Calls(model_routes())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("m", "m"),
        ("org/net", "org%2Fnet"),
        ("org%2Fnet", "org%2Fnet"),
        ("org/net/calibration", "org%2Fnet/calibration"),
        ("org%2Fcalibration", "org%2Fcalibration"),
        ("org%2Fnet/calibration", "org%2Fnet/calibration"),
        ("m/events/a/b", "m/events/a%2Fb"),
        ("m/events/a%2Fb", "m/events/a%2Fb"),
        ("m/events", "m%2Fevents"),
        ("m/events/", "m/events/"),
        ("org/net/events/a/b", "org%2Fnet/events/a%2Fb"),
        ("m/calibrators/anything", "m/calibrators/anything"),
        ("org/net/calibrators/3", "org%2Fnet/calibrators/3"),
        ("org/net/calibrators/anything", "org%2Fnet%2Fcalibrators%2Fanything"),
        ("org/net/calibrators/champion/difference", "org%2Fnet/calibrators/champion/difference"),
        ("org/net/calibrators/identity/difference", "org%2Fnet/calibrators/identity/difference"),
        ("org/net/calibrators/identity/map", "org%2Fnet/calibrators/identity/map"),
        ("org/net/calibrators/identity", "org%2Fnet%2Fcalibrators%2Fidentity"),
        ("org/net/calibrators/identity/promote", "org%2Fnet%2Fcalibrators%2Fidentity%2Fpromote"),
        ("org/net/calibrators/rollback", "org%2Fnet/calibrators/rollback"),
        ("m/", "m%2F"),
        ("m/nothing", "m%2Fnothing"),
        ("m/calibration/", "m%2Fcalibration%2F"),
        ("%C3%A9/drift", "%C3%A9/drift"),
    ],
)
def test_a_name_becomes_one_part_of_the_address(raw: str, expected: str) -> None:
    assert CALLS.normalised("", None) == ""
    assert f"/v1/models/{expected}" == CALLS.normalised("/v1/models/x", f"/v1/models/{raw}".encode())


def test_slashes_outside_the_name_may_be_encoded() -> None:
    assert CALLS.normalised("/v1/models/m/drift", b"/v1%2Fmodels/m%2Fdrift") == "/v1/models/m/drift"


@pytest.mark.parametrize("path", ["/", "/metrics", "/v1/events", "/v1/models"])
def test_other_addresses_stay(path: str) -> None:
    assert CALLS.normalised(path, path.encode()) == path


def test_every_call_on_a_model_is_recognised_behind_slashes() -> None:
    for route in model_routes():
        call = route.path.removeprefix("/v1/models/{model}").removeprefix("/v1/models")  # type: ignore[attr-defined]
        for parameter, value in (("which", "7"), ("number", "7"), ("event_id", "a%2Fb")):
            call = call.replace(f"{{{parameter}}}", value)
        address = f"/v1/models/org/net{call}"
        assert CALLS.normalised(address, address.encode()) == f"/v1/models/org%2Fnet{call}"


def test_a_new_route_needs_no_entry_elsewhere() -> None:
    router = APIRouter(prefix="/v1/models")

    @router.get("/{model}/runs/{run}/rows/{rest}")
    def show(model: str, run: str, rest: Annotated[str, Path(), Recognised(".*", slashes=True)]) -> None: ...

    calls = Calls(router.routes)
    address = "/v1/models/org/net/runs/1/rows/a/b"
    assert calls.normalised(address, address.encode()) == "/v1/models/org%2Fnet/runs/1/rows/a%2Fb"
