"""Two people who write overrides at once, and a write beside a run that looks."""

from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from agents import selectors
from agents.clients import stamps
from agents.errors import AgentDisabled, OverrideChanged, OverrideNameTaken, OverrideNotFound
from agents.models import AgentOverride, AgentOverrideRevision
from agents.operations import effective, overrides, registry
from kernel import clock
from kernel import stamps as kernel_stamps
from tests.accounts.factories import make_organization
from tests.agents.factories import (
    PERSON,
    SOMEBODY,
    change_override,
    drop_override,
    make_agent,
    make_override,
)
from tests.threads import Gate, race

pytestmark = pytest.mark.django_db(transaction=True)


def update(override: AgentOverride, **values: Any) -> AgentOverride:
    return overrides.update_override(
        organization_id=override.organization_id,
        override_id=override.pk,
        values=values,
        record_version=1,
        actor=PERSON,
        user_id=SOMEBODY,
        now=clock.now(),
    )


def test_a_name_overridden_twice_at_once_is_overridden_once() -> None:
    home = make_organization()

    outcomes = race(*[partial(make_override, home, "Ada")] * 4)

    assert [type(outcome) for outcome in outcomes].count(OverrideNameTaken) == 3
    assert AgentOverride.objects.count() == AgentOverrideRevision.objects.count() == 1


def test_of_two_who_read_the_same_state_one_writes() -> None:
    override = make_override(make_organization(), "Ada")

    outcomes = race(
        partial(update, override, max_tokens=1), partial(update, override, max_tokens=2)
    )

    losers = [outcome for outcome in outcomes if isinstance(outcome, OverrideChanged)]
    override.refresh_from_db()
    assert (len(losers), override.record_version) == (1, 2)
    assert list(override.revisions.order_by("number").values_list("number", flat=True)) == [1, 2]


def test_writes_that_do_not_ask_are_both_kept() -> None:
    override = make_override(make_organization(), "Ada")

    race(
        partial(change_override, override, max_tokens=1),
        partial(change_override, override, temperature=0.5),
    )

    override.refresh_from_db()
    assert (override.max_tokens, override.temperature, override.record_version) == (1, 0.5, 3)


def test_an_override_is_deleted_once() -> None:
    override = make_override(make_organization(), "Ada")

    outcomes = race(*[partial(drop_override, override)] * 3)

    assert [type(outcome) for outcome in outcomes].count(OverrideNotFound) == 2


def test_what_is_read_beside_a_write_is_not_kept_beyond_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The look-up reads the row before the write commits, and remembers it after."""
    home = make_organization()
    agent = make_agent(home, name="Ada")
    version = agent.current_version
    assert version is not None
    look = partial(effective.configuration_of, version=version, agent_name="Ada")
    gate, find = Gate(), selectors.find_override

    def slowly(**scope: Any) -> AgentOverride | None:
        found = find(**scope)
        gate()
        return found

    monkeypatch.setattr(selectors, "find_override", slowly)

    def write() -> None:
        gate.wait()
        make_override(home, "Ada", enabled=False)
        gate.open()

    seen, _ = race(look, write)
    monkeypatch.setattr(selectors, "find_override", find)

    assert seen.override_id is None
    with pytest.raises(AgentDisabled):
        look()


def test_a_read_that_was_overtaken_takes_nothing_from_who_read_after_the_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It remembers last what it read first, over what others remember by now."""
    home = make_organization()
    agent = make_agent(home, name="Ada")
    assert agent.current_version is not None
    look = partial(effective.configuration_of, version=agent.current_version, agent_name="Ada")
    gate, find = Gate(), selectors.find_override

    def overtaken(**scope: Any) -> AgentOverride | None:
        found = find(**scope)
        if found is None:
            gate()
        return found

    monkeypatch.setattr(selectors, "find_override", overtaken)

    def write() -> list[int]:
        gate.wait()
        override = make_override(home, "Ada", max_tokens=7)
        seen = [look().max_tokens]
        change_override(override, max_tokens=8)
        seen.append(look().max_tokens)
        gate.open()
        return seen

    slow, seen = race(look, write)

    assert (slow.override_id, seen) == (None, [7, 8])
    assert look().max_tokens == 8


def test_a_worker_that_is_rung_for_an_enabled_agent_sees_it_enabled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = make_organization()
    agent = make_agent(home, name="Ada")
    assert agent.current_version is not None
    look = partial(effective.configuration_of, version=agent.current_version, agent_name="Ada")
    override = make_override(home, "Ada", enabled=False)
    with pytest.raises(AgentDisabled):
        look()
    seen: list[UUID | None] = []

    def be_rung() -> None:
        transaction.on_commit(lambda: seen.append(look().override_id))

    monkeypatch.setattr(registry, "WORK", [SimpleNamespace(take_up=be_rung)])
    update(override, enabled=True)

    assert seen == [override.pk]


def test_a_write_whose_stamp_was_lost_counts_when_memory_is_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = make_organization()
    agent = make_agent(home, name="Ada")
    assert agent.current_version is not None
    look = partial(effective.configuration_of, version=agent.current_version, agent_name="Ada")
    look()
    monkeypatch.setattr(stamps, "renew", lambda **_: None)
    make_override(home, "Ada", enabled=False)

    late = look()
    monkeypatch.setattr(kernel_stamps, "MEMORY_SECONDS", 0.0)

    assert late.override_id is None
    with pytest.raises(AgentDisabled):
        look()
