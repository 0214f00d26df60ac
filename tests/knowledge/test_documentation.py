"""This repository's documents answer what the hub is asked about itself."""

import re
from io import StringIO

from django.core.management import call_command

from accounts.models import Organization
from hub import env
from knowledge import selectors
from tests.architecture import house

# Not prefixed, so the environment's reader cannot know all of them.
FOREIGN = {"DATABASE_URL", "REDIS_URL"}


def test_the_welcome_question_is_answered_by_the_documents(organization: Organization) -> None:
    call_command("ingest", str(house.ROOT / "docs"), stdout=StringIO())

    found = selectors.search(
        organization_id=organization.pk,
        query="How does Agent Hub make sure that a task survives the crash of a worker?",
    )

    assert found[0].source == "docs/concepts.md"
    assert found[0].place == "Concepts > How a task survives the crash of a worker"
    assert found[0].rank > 1


def test_every_setting_is_documented_and_nothing_else() -> None:
    page = (house.ROOT / "docs/configuration.md").read_text()

    documented = re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)

    assert sorted(documented) == sorted(env.KNOWN | FOREIGN)
