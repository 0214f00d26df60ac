"""The pages of settings, by category: forms made of the catalogue."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from hub.console import sections
from kernel.admin_forms import CODE, FreshFactor
from kernel.errors import DomainError
from preferences import operations
from preferences.choices import CATEGORIES, Setting, catalogue
from preferences.selectors import values
from preferences.selectors.values import Values

Write = Callable[..., None]
Obstacle = Callable[[], DomainError | None]
TEMPLATE: Final = "console/settings.html"
FORGET: Final = "forget-"
SPELLED: Final = {
    "api": "API",
    "mfa": "MFA",
    "oidc": "OIDC",
    "openai": "OpenAI",
    "smtp": "SMTP",
    "url": "URL",
    "id": "ID",
}
TITLES: Final = {"llm": "Models", "email": "Mail", "security": "Security policy"}


def category_page(
    request: HttpRequest,
    category: str,
    *,
    write: Write,
    find_obstacle: Obstacle,
    context: Mapping[str, Any],
) -> HttpResponse:
    """The settings of a category that the caller may change, and changing them."""
    user: Any = request.user
    open_to_caller = _open_to(user)
    if category and category not in {*CATEGORIES, *(s.category for s in catalogue().values())}:
        raise Http404
    if not open_to_caller or (category and category not in open_to_caller):
        raise PermissionDenied
    if not category:
        return redirect("admin:settings", next(iter(open_to_caller)))
    found = values.read(organization_id=user.organization_id)
    form = SettingsForm(open_to_caller[category], found, request.POST or None)
    form.ask(find_obstacle())
    if request.method == "POST":
        if form.is_valid() and _save(form, write):
            messages.success(request, "Saved. It counts from now on.")
            return redirect("admin:settings", category)
        form.ask_for_secrets()
    shown = {
        **context,
        "title": f"Settings: {_title(category)}",
        "form": form,
        "category": category,
        "categories": [(name, _title(name)) for name in open_to_caller],
    }
    return TemplateResponse(request, TEMPLATE, shown)


class LinesField(forms.Field):
    """A list of texts, one in each line."""

    def to_python(self, value: Any) -> list[str]:
        """Without empty lines."""
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Browsers send other line ends than they were given."""
        before = initial if isinstance(initial, list) else self.to_python(initial)
        return before != self.to_python(data)


class SettingsForm(FreshFactor, forms.Form):
    """A field for each setting; `changes` are those that were touched.

    What a person did not touch is not written, so that a page that is open for long brings back
    nothing of what another person changed meanwhile.
    """

    def __init__(self, settings: list[Setting], found: Values, data: Any = None) -> None:
        super().__init__(data)
        self._settings = {setting.name: setting for setting in settings}
        for name, setting in self._settings.items():
            self.fields[name] = _field(setting, found)
            if setting.secret and not found.is_default(setting.key):
                self.fields[FORGET + name] = forms.BooleanField(
                    label=f"Forget: {setting.label or _words(name)}",
                    required=False,
                    widget=UnfoldBooleanSwitchWidget(),
                )

    @property
    def sections(self) -> list[sections.Section]:
        """The fields under their headings."""
        fields = {
            name: [self[field] for field in (name, FORGET + name) if field in self.fields]
            for name in self._settings
        }
        return sections.divide(list(self._settings.values()), fields)

    def changes(self) -> dict[str, Any]:
        """New values by key; None for the default."""
        changed: dict[str, Any] = {}
        for name in self.changed_data:
            if name == CODE:
                continue
            bare = name.removeprefix(FORGET)
            if name != bare:
                changed[self._settings[bare].key] = None
            else:
                value = self.cleaned_data[name]
                changed[self._settings[name].key] = self._plain(name, value)
        return changed

    def refuse(self, error: DomainError) -> None:
        """Show a refusal beside its field."""
        if self.refuse_factor(error):
            return
        for fault in error.fields:
            self.add_error(str(fault["field"]).partition(".")[2], str(fault["message"]))
        if not error.fields:
            self.add_error(None, error.detail)

    def ask_for_secrets(self) -> None:
        """What was refused comes back without its secrets: pages show none."""
        for name, setting in self._settings.items():
            if setting.secret and self.data.get(name):
                self.add_error(name, "Nothing was saved. Type the secret again.")

    def _plain(self, name: str, value: Any) -> Any:
        """An emptied field means the default, unless the setting has an empty choice."""
        if value in ("", []) and "" not in self._settings[name].choices:
            return None
        return value


def _save(form: SettingsForm, write: Write) -> bool:
    try:
        write(operations.change, values=form.changes())
    except DomainError as error:
        form.refuse(error)
        return False
    return True


def _open_to(user: Any) -> dict[str, list[Setting]]:
    """The settings that the caller may change, by category in the catalogue's order."""
    found: dict[str, list[Setting]] = {name: [] for name in CATEGORIES}
    for setting in catalogue().values():
        if user.has_perm(setting.permission):
            found.setdefault(setting.category, []).append(setting)
    return {name: settings for name, settings in found.items() if settings}


def _words(name: str) -> str:
    """`openai_api_key` as "OpenAI API key"."""
    words = [SPELLED.get(word, word) for word in name.split("_")]
    if words[-1] in sections.UNITS:
        words[-1] = f"({words[-1]})"
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _title(category: str) -> str:
    return TITLES.get(category, category.replace("_", " ").capitalize())


def _field(setting: Setting, found: Values) -> forms.Field:
    common: dict[str, Any] = {
        "label": setting.label or _words(setting.name),
        "help_text": _help(setting, found),
        "required": False,
    }
    if setting.secret:
        widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"})
        return forms.CharField(widget=widget, strip=True, **common)
    initial = found[setting.key]
    if setting.kind == "list":
        initial = "\n".join(initial)
    common |= {"initial": initial, "show_hidden_initial": True}
    if setting.kind == "boolean":
        return forms.BooleanField(widget=UnfoldBooleanSwitchWidget(), **common)
    if setting.choices:
        choices = [(name, name or "(the hub's own)") for name in setting.choices]
        return forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget(), **common)
    if setting.kind == "list":
        return LinesField(widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}), **common)
    return forms.CharField(widget=UnfoldAdminTextInputWidget(), **common)


def _help(setting: Setting, found: Values) -> str:
    parts = [setting.description]
    if setting.secret:
        shown = found.shown(setting.key)
        parts.append(f"Now {shown}; leave it empty to keep it." if shown else "Not set.")
    elif setting.minimum is not None:
        parts.append(f"From {setting.minimum} to {setting.maximum}.")
    if setting.kind == "list":
        parts.append("One in each line.")
    if not setting.secret and setting.kind != "boolean" and setting.default_value() not in ("", []):
        parts.append(f"Empty: {setting.default_value()}.")
    return " ".join(parts)
