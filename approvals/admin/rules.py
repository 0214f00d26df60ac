"""The page of rules: which actions need whose approval."""

import json
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from accounts.selectors import roles
from approvals import choices, selectors
from approvals.admin.fresh import FreshForm, organization_of, show_factor
from approvals.choices import READ
from approvals.models import ApprovalRule
from approvals.operations import rules
from approvals.serializers import ApprovalRuleInput
from kernel import clock, display
from kernel.admin import ConsoleAdmin
from kernel.admin_columns import column, exact_time, time_column
from kernel.admin_forms import NUMBER, SELECT, TEXTS, form_button, list_form_button, text
from preferences.choices import EDIT


class RuleForm(FreshForm):
    """A rule."""

    named: ClassVar = {
        "approval_rule.name_taken": "name",
        "approver_role_id": "approver_role",
    }
    name = text("Name", length=100)
    description = text("Description", length=choices.LONGEST_TEXT, required=False)
    action = text(
        "Action",
        length=choices.LONGEST_ACTION,
        help_text="Such as deploy; or the beginning of some and a star: execute_tool:*",
    )
    conditions = forms.CharField(
        label="Only if",
        required=False,
        max_length=choices.LONGEST_TEXT,
        widget=TEXTS(attrs={"rows": 3, "placeholder": 'arguments.environment = "prod"'}),
        help_text="One `name = value` a line, the value as JSON; empty: always.",
    )
    min_approvals = forms.IntegerField(
        label="Approvals that it takes",
        initial=1,
        min_value=1,
        max_value=choices.MOST_APPROVALS,
        widget=NUMBER(),
    )
    approver_role = forms.ChoiceField(label="By holders of", required=False, widget=SELECT())
    approvers = forms.CharField(
        label="Or by",
        required=False,
        max_length=10_000,
        widget=TEXTS(attrs={"rows": 2}),
        help_text="E-mail addresses, one a line. Neither role nor people: whoever may decide.",
    )
    expires_after_seconds = forms.IntegerField(
        label="Seconds until it expires",
        initial=choices.EXPIRES_AFTER_SECONDS,
        min_value=choices.SHORTEST,
        max_value=choices.LONGEST,
        widget=NUMBER(),
    )
    allow_self_approval = forms.BooleanField(label="Whoever asks may decide, too", required=False)
    is_active = forms.BooleanField(label="In force", required=False, initial=True)

    def prepare(self) -> None:
        """The organization's roles, and the rule as it is."""
        field: Any = self.fields["approver_role"]
        rows = roles.list_roles(organization_id=organization_of(self.request))
        field.choices = [("", "Nobody in particular"), *((str(r.pk), r.name) for r in rows)]
        rule = self._find()
        if rule is not None:
            self.initial = {name: getattr(rule, name, None) for name in self.fields} | {
                "approver_role": str(rule.approver_role_id or ""),
                "approvers": "\n".join(_emails(rule)),
                "conditions": "\n".join(
                    f"{name} = {json.dumps(value)}" for name, value in rule.conditions.items()
                ),
            }

    def clean_action(self) -> str:
        """The action as the API takes it."""
        action: str = self.cleaned_data["action"]
        forms.RegexField(rf"^{choices.PATTERN}\Z").clean(action)
        return action

    def clean_conditions(self) -> dict[str, Any]:
        """The lines as a mapping that the API takes."""
        found: dict[str, Any] = {}
        for line in filter(None, map(str.strip, self.cleaned_data["conditions"].splitlines())):
            name, sign, value = (part.strip() for part in line.partition("="))
            if not sign or name in found:
                raise forms.ValidationError("Write each name once, as `name = value`.")
            found[name] = _parse(value)
        wrong = ApprovalRuleInput(data={"conditions": found}, partial=True)
        if not wrong.is_valid():
            raise forms.ValidationError([str(fault) for fault in wrong.errors["conditions"]])
        return found

    def clean_approvers(self) -> list[UUID]:
        """The people behind the addresses."""
        wanted = [part.lower() for part in self.cleaned_data["approvers"].replace(",", " ").split()]
        people = User.objects.filter(
            organization_id=organization_of(self.request), email__in=wanted
        )
        known = {person.email: person.pk for person in people}
        missing = [email for email in wanted if email not in known]
        if missing:
            raise forms.ValidationError(f"Nobody here has the address {missing[0]}.")
        if len(known) > choices.MOST_APPROVERS:
            raise forms.ValidationError(f"At most {choices.MOST_APPROVERS} people.")
        return [known[email] for email in dict.fromkeys(wanted)]

    def values(self) -> dict[str, Any]:
        """As the operation takes them."""
        found = super().values()
        role = found.pop("approver_role")
        return {**found, "approver_role_id": UUID(role) if role else None}

    def _find(self) -> ApprovalRule | None:
        rows = selectors.list_rules(organization_id=organization_of(self.request))
        return rows.filter(pk=self.object_id).first() if self.object_id else None


def _warn(request: HttpRequest, rule: ApprovalRule) -> None:
    """Nothing that the rule is for is ever approved if too few may vote."""
    count = selectors.count_voters(rule=rule)
    if count < rule.min_approvals:
        people = "1 person" if count == 1 else f"{count} people"
        words = f"The rule takes {rule.min_approvals} approvals, and only {people} may vote."
        messages.warning(request, f"{words} Add people to a role that may decide, or ask for less.")


def _parse(value: str) -> Any:
    """A JSON value; what is none is a text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _emails(rule: ApprovalRule) -> list[str]:
    people = User.objects.filter(organization_id=rule.organization_id, pk__in=rule.approvers)
    return list(people.order_by("email").values_list("email", flat=True))


def _voters(rule: ApprovalRule) -> str:
    """How many there are, and whether they are enough."""
    count = selectors.count_voters(rule=rule)
    return f"{count}: too few for this rule" if count < rule.min_approvals else str(count)


def _people(rule: ApprovalRule) -> str:
    named = [str(rule.approver_role)] if rule.approver_role else []
    if rule.approvers:
        named.append("1 person" if len(rule.approvers) == 1 else f"{len(rule.approvers)} people")
    return " or ".join(named) or "whoever may decide"


@admin.register(ApprovalRule)
class RuleAdmin(ConsoleAdmin):
    """Which actions need whose approval."""

    page_title = "Approval rules"
    view_permission = READ
    edit_permission = EDIT
    audited_as = ("approval_rule", "name")
    api_path = "/api/v1/approval-rules"
    list_display: ClassVar = (
        "name",
        "action",
        column("approvals", lambda rule: rule.min_approvals),
        column("by", _people),
        column("within", lambda rule: rule.expires_after_seconds, display.duration),
        "is_active",
        time_column("updated_at", "changed"),
        "short_id",
    )
    list_select_related: ClassVar = ("approver_role",)
    list_filter: ClassVar = ("is_active",)
    search_fields: ClassVar = ("name", "action")
    ordering: ClassVar = ("name", "pk")
    fields: ClassVar = (
        "name",
        "description",
        "action",
        column("only if", lambda rule: rule.conditions, display.structure_block),
        "min_approvals",
        "approver_role",
        column("people", _emails, display.words),
        column("people who may vote", _voters),
        column("expires after", lambda rule: rule.expires_after_seconds, display.duration),
        "allow_self_approval",
        "is_active",
        "revision",
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )
    actions_list: ClassVar = ("create_rule",)
    actions_detail: ClassVar = ("change_rule", "delete_rule")

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To its page, as long as there is one."""
        is_there = self.get_object(request, object_id) is not None
        return super().back(request, object_id) if is_there else self.back_to_list(request)

    @list_form_button("New rule", RuleForm, icon="add")
    def create_rule(self, request: HttpRequest, **values: Any) -> None:
        """Make one."""
        _warn(request, rules.create_rule(values=values, **self._who(request)))

    @form_button(
        "Change rule", RuleForm, icon="tune", question="What is open keeps the rule as it was."
    )
    def change_rule(self, request: HttpRequest, rule: ApprovalRule, **values: Any) -> None:
        """Change it."""
        _warn(request, rules.update_rule(rule_id=rule.pk, values=values, **self._who(request)))

    @form_button("Delete rule", FreshForm, question="What is open keeps the rule as it was.")
    def delete_rule(self, request: HttpRequest, rule: ApprovalRule) -> None:
        """Remove it."""
        rules.delete_rule(rule_id=rule.pk, **self._who(request))

    def _who(self, request: HttpRequest) -> dict[str, Any]:
        actor, now = self.actor(request), clock.now()
        show_factor(request, actor=actor, now=now)
        return {"organization_id": organization_of(request), "actor": actor, "now": now}
