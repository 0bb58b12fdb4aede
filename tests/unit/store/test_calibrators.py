"""What earlier versions stored of calibrators is read whole, and told again as it was."""

import json
from pathlib import Path

import msgspec
import pytest

from monitor.calibrators.document import verify
from monitor.store.audit import Detail
from monitor.store.calibrators import document_of

STORED = json.loads((Path(__file__).parent / "stored_by_0_3_0.json").read_text())
DOCUMENTS = [*STORED["documents"], *STORED["before_0_3_0"]]


@pytest.mark.parametrize("stored", DOCUMENTS)
def test_a_stored_document_is_told_as_it_was(stored):
    document = document_of(json.dumps(stored))
    assert json.loads(msgspec.json.encode(document)) == stored
    assert msgspec.json.decode(msgspec.json.encode(document), type=type(document)) == document


@pytest.mark.parametrize("stored", DOCUMENTS)
def test_the_hash_of_a_stored_document_holds(stored):
    document = document_of(json.dumps(stored))
    assert document.sha256 == stored["sha256"]
    assert verify(document.working_part)._asdict() == {name: stored[name] for name in ("method", "task", "parameters")}


@pytest.mark.parametrize("stored", STORED["details"])
def test_a_stored_detail_of_the_audit_log_is_told_as_it_was(stored):
    detail = msgspec.json.decode(json.dumps(stored), type=Detail)
    assert json.loads(msgspec.json.encode(detail)) == stored
