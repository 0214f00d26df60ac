"""Console forms: a dialog asks, one operation does it, a refusal is shown beside its field."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import CharField, PasswordInput
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from unfold import decorators
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from kernel import redaction
from kernel.admin import Available, ConsoleAdmin
from kernel.errors import DomainError

DIALOG: Final = "unfold/helpers/dialog.html"
# The field for a fresh second factor, wherever a form has to ask for it.
CODE: Final = "fresh_code"
FRESH: Final = "console/fresh_factor.html"
ONCE: Final = "console/shown_once.html"
REFUSED: Final = object()
# So that apps need not import unfold.
CHECKBOXES: Any = UnfoldAdminCheckboxSelectMultipleWidget
EMAIL: Any = UnfoldAdminEmailInputWidget
NUMBER: Any = UnfoldAdminIntegerFieldWidget
PASSWORD: Any = UnfoldAdminPasswordWidget
SELECT: Any = UnfoldAdminSelectWidget
TEXT: Any = UnfoldAdminTextInputWidget
TEXTS: Any = UnfoldAdminTextareaWidget


class FreshFactor:
    """For a form whose operation may need a second factor shown a short while ago.

    Then it has one field more, `CODE`; `obstacle` is the refusal that asks for it, or one that no
    code lifts. Both show by the template FRESH.
    """

    obstacle: DomainError | None = None
    fields: dict[str, Any]

    def ask(self, obstacle: DomainError | None) -> None:
        """Ask for what lifts `obstacle`; nothing for None."""
        self.obstacle = obstacle
        self.fields.pop(CODE, None)
        if obstacle is not None and obstacle.status == 401:
            self.fields[CODE] = CharField(
                label="Code of your authenticator, or a backup code",
                max_length=32,
                widget=TEXT(attrs={"autocomplete": "one-time-code"}),
            )

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing that is typed here would help."""
        return self.obstacle is not None and CODE not in self.fields

    def refuse_factor(self, error: DomainError) -> bool:
        """Show a refusal that is about the factor; False for any other one."""
        if error.status in {401, 412}:
            self.ask(error)  # it was fresh when the form was opened
        elif CODE not in self.fields:
            return False
        elif not error.code.startswith("auth."):
            self.ask(None)  # the code was taken
            return False
        form: Any = self
        form.add_error(CODE if CODE in self.fields else NON_FIELD_ERRORS, error.detail)
        return True


class DialogForm(FreshFactor, BaseDialogForm):  # type: ignore[misc]  # unfold ships no types
    """The base of a dialog's form; `prepare` fills choices and initial values in.

    `request` is the caller's, `object_id` that of the page's object (None on a list).
    """

    # Fields of operations that are called otherwise here, and codes that are about one field.
    named: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepare()
        self.ask(self.find_obstacle())

    def prepare(self) -> None:
        """Before the form is shown or read."""

    def find_obstacle(self) -> DomainError | None:
        """What a fresh second factor is asked for; here nothing is."""
        return None

    def clean(self) -> dict[str, Any]:
        """Nothing passes that could not be done."""
        if self.obstacle is not None and self.is_hopeless:
            self.add_error(NON_FIELD_ERRORS, self.obstacle.detail)
        self._refuse_secrets()
        return dict(self.cleaned_data)

    def _refuse_secrets(self) -> None:
        """What is typed into a field that shows it is stored in the clear."""
        organization_id = getattr(self.request.user, "organization_id", None)
        shown = {
            name: value
            for name, value in self.cleaned_data.items()
            if not isinstance(self.fields[name].widget, PasswordInput)
        }
        if organization_id is None or not shown:
            return
        try:
            redaction.check(organization_id, shown)
        except redaction.SecretInText as error:
            self.refuse(error)

    def values(self) -> dict[str, Any]:
        """What was entered, for the operation."""
        found = self.cleaned_data.items()
        return {name: value for name, value in found if name[0] != "_" and name != CODE}

    def refuse(self, error: DomainError) -> None:
        """Show a refusal where it belongs, above the fields if it belongs to none."""
        if self.refuse_factor(error):
            return
        for fault in error.fields:
            name = str(fault["field"]).partition(".")[0]
            name = self.named.get(name, name)
            message = str(fault["message"])
            self.add_error(name if name in self.fields else NON_FIELD_ERRORS, message)
        if not error.fields:
            self.add_error(self.named.get(error.code, NON_FIELD_ERRORS), error.detail)

    def render_before_template(self) -> str:
        """What stands above the fields."""
        return render_to_string(FRESH, {"form": self}, self.request)

    def __iter__(self) -> Iterator[Any]:
        """The fields, if filling them in can lead to anything."""
        shown = super().__iter__()
        return (field for field in shown if field.name[0] == "_" or not self.is_hopeless)


def form_button(
    description: str,
    form_class: type[DialogForm],
    *,
    question: str = "",
    available: Available = bool,
    icon: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., HttpResponse]]:
    """A button on an object's page that opens `form_class` and calls the method with its values.

    The method answers None to lead back to the page, or what the dialog shows then (`shown_once`).
    `available` says in which states it is offered; the operation decides again.
    """
    dialog = _dialog(description, question, form_class)

    def decorate(function: Callable[..., Any]) -> Callable[..., HttpResponse]:
        def act(
            page: ConsoleAdmin, request: HttpRequest, form: DialogForm, object_id: str
        ) -> HttpResponse:
            row = page.get_object(request, object_id)
            if row is None:
                return page.back_to_list(request)
            answer = _try(form, lambda: function(page, request, row, **form.values()))
            if answer is REFUSED:
                return _again(request, dialog, form)
            return answer or page.back(request, object_id)

        return _button(act, function.__name__, dialog, icon, available)

    return decorate


def list_form_button(
    description: str, form_class: type[DialogForm], *, question: str = "", icon: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., HttpResponse]]:
    """The same above a list, for what is not there yet."""
    dialog = _dialog(description, question, form_class)

    def decorate(function: Callable[..., Any]) -> Callable[..., HttpResponse]:
        def act(page: ConsoleAdmin, request: HttpRequest, form: DialogForm) -> HttpResponse:
            answer = _try(form, lambda: function(page, request, **form.values()))
            if answer is REFUSED:
                return _again(request, dialog, form)
            return answer or page.back_to_list(request)

        return _button(act, function.__name__, dialog, icon, bool)

    return decorate


def shown_once(request: HttpRequest, title: str, secret: str) -> HttpResponse:
    """A secret in the dialog, to be copied: it is on no other page."""
    return render(request, ONCE, {"title": title, "secret": secret})


def text(label: str, *, length: int = 255, required: bool = True, help_text: str = "") -> Any:
    """A line of text."""
    return CharField(
        label=label, widget=TEXT(), max_length=length, required=required, help_text=help_text
    )


def _dialog(title: str, question: str, form_class: type[DialogForm]) -> dict[str, Any]:
    return {
        "title": title,
        "description": question,
        "form_class": form_class,
        "form_submit_text": title,
    }


def _button(
    act: Callable[..., HttpResponse],
    name: str,
    dialog: dict[str, Any],
    icon: str | None,
    available: Available,
) -> Callable[..., HttpResponse]:
    act.__name__ = name
    button: Callable[..., HttpResponse] = decorators.action(
        act, description=dialog["title"], permissions=["edit"], dialog=dialog, icon=icon
    )
    button.available = available  # type: ignore[attr-defined]  # read by get_actions_detail
    return button


def _try(form: DialogForm, operation: Callable[[], Any]) -> Any:
    """REFUSED, or what it answers: None, or a page to show instead of going back."""
    try:
        return operation()
    except DomainError as error:
        form.refuse(error)
        return REFUSED


def _again(request: HttpRequest, dialog: dict[str, Any], form: DialogForm) -> HttpResponse:
    shown = {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]}
    return render(request, DIALOG, shown)
