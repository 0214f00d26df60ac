"""What each version of something changed, for its page, and the choice of one to go back to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.db.models import QuerySet

from kernel import display
from kernel.admin_forms import SELECT, DialogForm

KEPT: Final = 20


class RollBackForm(DialogForm):
    """Which version is to count again: one but the newest."""

    label: ClassVar[str] = "Version"
    number = forms.TypedChoiceField(coerce=int, widget=SELECT())

    def prepare(self) -> None:
        """The versions, with when they were made."""
        field = self.fields["number"]
        field.label = self.label
        if self.object_id is not None:
            rows = self.find(self.request.user.organization_id, self.object_id)
            made = rows.values_list("number", "created_at")[1 : KEPT + 1]
            field.choices = [
                (number, f"{number}, of {at:%Y-%m-%d %H:%M} UTC") for number, at in made
            ]

    def find(self, organization_id: UUID, object_id: UUID) -> QuerySet[Any]:
        """The versions of the page's object, newest first."""
        raise LookupError(f"{type(self).__name__} finds no versions.")


def history(newest: Sequence[tuple[Any, Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    """Each version with the fields it changed; the first, which had nothing before it, with all."""
    for (version, values), older in zip([*newest][:KEPT], [*newest[1:], None], strict=False):
        before = older[1] if older else {}
        changes = [
            {"field": name, "before": _shown(before.get(name)), "after": _shown(value)}
            for name, value in values.items()
            if older is None or before.get(name) != value
        ]
        yield {"version": version, "older": older, "changes": changes}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return display.structure(value) if value else ""
    return "" if value is None else str(value)
