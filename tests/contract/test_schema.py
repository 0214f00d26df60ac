"""The OpenAPI document: valid, without warnings, committed, and served."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

COMMITTED = Path(__file__).parent.parent.parent / "docs/openapi.yaml"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("schema") / "openapi.yaml"
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(file), stdout=StringIO())
    return file.read_text()


def test_committed_document_is_current(generated: str) -> None:
    assert generated == COMMITTED.read_text(), "Run `make schema` and commit docs/openapi.yaml."


def test_operation_ids_are_unique_nouns_and_verbs(generated: str) -> None:
    ids = [
        line.split()[1]
        for line in generated.splitlines()
        if line.strip().startswith("operationId:")
    ]

    assert len(ids) == len(set(ids))
    assert not [name for name in ids if "_" not in name or name != name.lower()]


@pytest.mark.django_db
def test_document_is_served(client: Client) -> None:
    answer = client.get("/api/schema/")

    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("application/vnd.oai.openapi")
