"""What is asked for: bound whole, shown in part, by which rule."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Organization, Role, User
from approvals import selectors
from approvals.errors import RuleInUse, RuleNameTaken
from approvals.models import Approval, ApprovalRule, Terms
from approvals.operations import details, rules
from audit.models import AuditEvent
from kernel import clock
from kernel.actors import SYSTEM
from kernel.errors import Invalid
from tests.approvals.factories import ACTION, ask, make_rule

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def terms(organization: Organization, action: str = ACTION, **arguments: Any) -> Terms:
    return selectors.find_terms(
        organization_id=organization.pk, action=action, details={"arguments": arguments}
    )


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_binding_outlives_storage_and_order(arguments: dict[str, Any]) -> None:
    stored = json.loads(json.dumps(dict(reversed(arguments.items()))))

    assert selectors.binding_of(ACTION, stored) == selectors.binding_of(ACTION, arguments)


@pytest.mark.parametrize(
    "arguments", [{}, {"a": 2}, {"a": "1"}, {"a": True}, {"a": [1]}, {"a": 1, "b": None}]
)
def test_a_binding_is_of_just_these_arguments(arguments: dict[str, Any]) -> None:
    binding = selectors.binding_of(ACTION, {"a": 1})

    assert selectors.binding_of(ACTION, {"a": 1.0}) == binding  # as PostgreSQL gives it back
    assert selectors.binding_of(ACTION, arguments) != binding
    assert selectors.binding_of("execute_tool:other", {"a": 1}) != binding


def test_secrets_are_masked_and_what_postgresql_does_not_take_is_replaced() -> None:
    asked = {
        "headers": {"Authorization": "Bearer x", "X-Api-Key": "y", "Accept": "z"},
        "list": [{"password": ["p"]}, "a\x00b\ud800"],
        "max_tokens": 5,
        "token": "",
        "far": float("inf"),
    }

    shown, is_cut = details.show(asked)

    assert shown == {
        "headers": {"Authorization": "[redacted]", "X-Api-Key": "[redacted]", "Accept": "z"},
        "list": [{"password": "[redacted]"}, "a\ufffdb\ufffd"],
        "max_tokens": 5,
        "token": "",
        "far": "inf",
    }
    assert not is_cut


@pytest.mark.parametrize(
    "asked",
    [
        {"body": "x" * 100_000},
        {"rows": [{"body": "é" * 500}] * 500},
        {f"name {number}": "x" * 90 for number in range(5_000)},
        {"deep": [[[["\x01" * 300] * 12] * 12] * 12]},
    ],
)
def test_what_is_long_is_cut_and_says_so(asked: dict[str, Any]) -> None:
    shown, is_cut = details.show(asked)

    text = json.dumps(shown, ensure_ascii=False)
    assert is_cut
    assert len(text.encode()) <= 32 * 1024
    assert "more" in text


@pytest.mark.django_db
def test_the_same_call_of_the_same_task_asks_once(organization: Organization) -> None:
    task_id = uuid4()
    first = ask(organization, task_id=task_id)

    again = ask(organization, task_id=task_id)
    others = [
        ask(organization, task_id=task_id, call_id="call-2"),
        ask(organization, task_id=task_id, arguments={"environment": "test"}),
        ask(organization),
    ]

    assert again == first
    assert len({first.pk, *(other.pk for other in others)}) == 4
    assert AuditEvent.objects.filter(action="approval.request").count() == 4
    found = selectors.find_for_call(
        organization_id=organization.pk, task_id=task_id, call_id="call-1", binding=first.binding
    )
    assert found == first


@pytest.mark.django_db
def test_the_most_specific_rule_that_fits_counts(organization: Organization) -> None:
    def rule(name: str, action: str, **conditions: Any) -> None:
        make_rule(organization, name=name, action=action, conditions=conditions)

    assert terms(organization) == Terms()
    rule("any", "*")
    rule("tools", "execute_tool:*")
    rule("here", ACTION)
    rule("prod", ACTION, **{"arguments.environment": "prod"})
    rule("one", "execute_tool:x", **{"arguments.count": 1})
    make_rule(organization, name="off", action="execute_tool:dep*", is_active=False)

    assert terms(organization, "deploy").name == "any"
    assert terms(organization, "execute_tool:dep").name == "tools"
    assert terms(organization).name == "here"
    assert terms(organization, environment="prod").name == "prod"
    assert terms(organization, "execute_tool:x", count=1).name == "one"
    assert terms(organization, "execute_tool:x", count=True).name == "tools"


@pytest.mark.django_db
def test_a_named_rule_counts_unless_it_is_switched_off(organization: Organization) -> None:
    named = make_rule(organization, name="named", action="nothing", min_approvals=2)
    make_rule(organization, name="tools")

    def found(rule_id: UUID) -> str:
        approval = ask(organization, rule_id=rule_id)
        return approval.terms.name

    assert found(named.pk) == "named"
    ApprovalRule.objects.filter(pk=named.pk).update(is_active=False)
    assert found(named.pk) == "tools"


@pytest.mark.django_db
def test_rules_are_made_changed_and_removed(organization: Organization) -> None:
    rule = make_rule(organization, name="Tools")
    asked: Any = {"organization_id": organization.pk, "rule_id": rule.pk, "actor": SYSTEM}
    with pytest.raises(RuleNameTaken):
        make_rule(organization, name="tools")

    rules.update_rule(**asked, values={"min_approvals": 2}, now=clock.now())
    changed = rules.update_rule(**asked, values={"min_approvals": 2}, now=clock.now())
    approval = ask(organization)
    rules.delete_rule(**asked, now=clock.now())

    assert (changed.min_approvals, changed.revision) == (2, 2)
    assert not ApprovalRule.objects.exists()
    assert Approval.objects.get().terms == approval.terms == changed.terms
    rows = AuditEvent.objects.filter(resource_type="approval_rule").order_by("pk")
    assert list(rows.values_list("action", flat=True)) == [
        "approval_rule.create",
        "approval_rule.update",
        "approval_rule.delete",
    ]
    assert rows[1].details == {
        "name": "Tools",
        "before": {"min_approvals": 1},
        "after": {"min_approvals": 2},
    }


@pytest.mark.django_db
def test_a_rule_that_something_names_is_kept(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, other = make_rule(organization), make_rule(organization)
    monkeypatch.setattr(rules, "NAMED_BY", [lambda _, rule_id: rule_id == rule.pk])
    asked: Any = {"organization_id": organization.pk, "actor": SYSTEM, "now": clock.now()}

    rules.delete_rule(rule_id=other.pk, **asked)
    with pytest.raises(RuleInUse):
        rules.delete_rule(rule_id=rule.pk, **asked)

    assert ApprovalRule.objects.get() == rule


@pytest.mark.django_db
def test_a_rule_names_people_and_roles_of_its_organization(
    organization: Organization, stranger: User
) -> None:
    for values in (
        {"approvers": [stranger.pk]},
        {"approver_role_id": Role.objects.filter(organization=stranger.organization)[0].pk},
    ):
        with pytest.raises(Invalid):
            make_rule(organization, **values)
