"""A process of the hub's that publishes one event for each word in a Redis list.

`python -m bench.publisher tokens COUNT FILE` makes that many people of one organization, each with
a session, and writes their access tokens; `python -m bench.publisher` publishes.
"""

import os
import sys
import time
from pathlib import Path
from typing import Final
from uuid import uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django.setup()

from accounts.choices import UserRole
from accounts.models import Organization, User
from accounts.operations import grants, sessions
from accounts.selectors.people import actor_of
from events import operations
from events import selectors as events
from events.clients import channel
from kernel import clock, redis_client, tenancy

GRANTS: Final = "bench:grants"
READY: Final = "bench:publisher"


def write_tokens(count: int, file: Path) -> None:
    """One person and one session for each line."""
    organization = Organization.objects.get()
    people = User.objects.bulk_create(
        User(
            organization=organization,
            email=f"{uuid4()}@example.com",
            password="!",
        )
        for _ in range(count)
    )
    for person in people:
        grants.give_first_role(user=person, role=UserRole.VIEWER)
    now = clock.now()
    tokens = [
        sessions.issue_tokens(user=user, actor=actor_of(user=user), now=now).access
        for user in people
    ]
    file.write_text("\n".join(tokens))


def publish() -> None:
    """Until killed. Stored events go as the relay sends them, numbered on from the last row."""
    organization_id = Organization.objects.get().pk
    subject, agent = uuid4(), uuid4()
    sequence = events.get_last_sequence()
    redis_client.client().rpush(READY, 1)
    while True:
        word = redis_client.client().blpop([GRANTS], timeout=0.5)
        if word is None:
            continue
        data = {"id": subject, "agent_id": agent, "status": "in_progress"}
        if word[1] == b"live":
            data["sent"] = time.monotonic_ns()
            operations.stream(organization_id=organization_id, type="task.output", data=data)
            continue
        sequence += 1
        message = channel.encode(
            organization_id=organization_id,
            user_id=None,
            type="task.updated",
            data={**data, "sent": time.monotonic_ns()},
            sequence=sequence,
        )
        channel.publish([message])


if __name__ == "__main__":
    with tenancy.platform():
        if sys.argv[1:2] == ["tokens"]:
            write_tokens(int(sys.argv[2]), Path(sys.argv[3]))
            print("{}")
        else:
            publish()
