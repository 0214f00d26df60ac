"""The page of IP rules: the whole list as text, a rule a line."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.choices import IpAction
from accounts.models import IpRule
from accounts.operations import network
from accounts.selectors import network as selectors
from kernel.admin_forms import FreshFactor
from kernel.errors import DomainError

Write = Callable[..., None]
Obstacle = Callable[[], DomainError | None]
TEMPLATE: Final = "console/ip_rules.html"
LONGEST: Final = 255


def rules_page(
    request: HttpRequest, *, write: Write, find_obstacle: Obstacle, context: Mapping[str, Any]
) -> HttpResponse:
    """The rules, and replacing them."""
    user: Any = request.user
    rules = list(selectors.list_rules(organization_id=user.organization_id))
    form = RulesForm(request.POST or None, initial={"rules": _written(rules)})
    form.ask(find_obstacle())
    if request.method == "POST" and form.is_valid() and _replace(form, write):
        messages.success(request, "Saved. The rules count from now on.")
        return redirect("admin:ip_rules")
    shown = {
        **context,
        "title": "IP rules",
        "form": form,
        "address": request.META.get("REMOTE_ADDR"),
    }
    return TemplateResponse(request, TEMPLATE, shown)


class RulesForm(FreshFactor, forms.Form):
    """`allow 10.0.0.0/8 the office`, one to a line."""

    rules = forms.CharField(
        label="Rules",
        required=False,
        max_length=200_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 14, "spellcheck": "false"}),
        help_text="A line each: allow or deny, a network, and what it is.",
    )

    def clean_rules(self) -> list[dict[str, str]]:
        """The rules as the operation takes them; raises ValidationError with the line."""
        lines = str(self.cleaned_data["rules"]).splitlines()
        return [_read(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _read(number: int, line: str) -> dict[str, str]:
    action, cidr, *words = [*line.split(None, 2), ""][:3] if line.split()[1:] else [line, ""]
    if action not in IpAction.values or not cidr:
        raise ValidationError(f"Line {number}: write allow or deny, then a network.")
    description = " ".join(words).strip()
    if len(description) > LONGEST:
        raise ValidationError(f"Line {number}: the description is longer than {LONGEST} letters.")
    return {"action": action, "cidr": cidr, "description": description}


def _written(rules: Iterable[IpRule]) -> str:
    return "\n".join(
        f"{rule.action} {rule.cidr} {' '.join(rule.description.split())}".strip() for rule in rules
    )


def _replace(form: RulesForm, write: Write) -> bool:
    rules = form.cleaned_data["rules"]
    try:
        write(network.replace_rules, rules=rules)
    except DomainError as error:
        if form.refuse_factor(error):
            return False
        for fault in error.fields:
            place = str(fault["field"]).split(".")
            named = f"{rules[int(place[1])]['cidr']}: " if place[1:] else ""
            form.add_error("rules", f"{named}{fault['message']}")
        if not error.fields:
            form.add_error("rules", error.detail)
        return False
    return True
