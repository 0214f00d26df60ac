"""Console forms: a dialog asks, one operation does it, a refusal is shown beside its field."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import CharField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from unfold import decorators
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from kernel.admin import Available, ConsoleAdmin
from kernel.errors import DomainError

DIALOG: Final = "unfold/helpers/dialog.html"
# So that apps need not import unfold.
CHECKBOXES: Any = UnfoldAdminCheckboxSelectMultipleWidget
EMAIL: Any = UnfoldAdminEmailInputWidget
PASSWORD: Any = UnfoldAdminPasswordWidget
SELECT: Any = UnfoldAdminSelectWidget
TEXT: Any = UnfoldAdminTextInputWidget
TEXTS: Any = UnfoldAdminTextareaWidget


class DialogForm(BaseDialogForm):  # type: ignore[misc]  # unfold ships no types
    """The base of a dialog's form; `prepare` fills choices and initial values in.

    `request` is the caller's, `object_id` that of the page's object (None on a list).
    """

    # Fields of operations that are called otherwise here.
    named: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepare()

    def prepare(self) -> None:
        """Before the form is shown or read."""

    def values(self) -> dict[str, Any]:
        """What was entered, for the operation."""
        return {name: value for name, value in self.cleaned_data.items() if name[0] != "_"}

    def refuse(self, error: DomainError) -> None:
        """Show a refusal where it belongs; the dialog has no place for what belongs nowhere."""
        shown = [name for name in self.fields if name[0] != "_"]
        for fault in error.fields:
            name = str(fault["field"]).partition(".")[0]
            name = self.named.get(name, name)
            self.add_error(name if name in shown else shown[0], str(fault["message"]))
        if not error.fields:
            self.add_error(shown[0] if shown else NON_FIELD_ERRORS, error.detail)


def form_button(
    description: str,
    form_class: type[DialogForm],
    *,
    question: str = "",
    available: Available = bool,
    icon: str | None = None,
) -> Callable[[Callable[..., None]], Callable[..., HttpResponse]]:
    """A button on an object's page that opens `form_class` and calls the method with its values.

    `available` says in which states it is offered; the operation decides again.
    """
    dialog = _dialog(description, question, form_class)

    def decorate(function: Callable[..., None]) -> Callable[..., HttpResponse]:
        def act(
            page: ConsoleAdmin, request: HttpRequest, form: DialogForm, object_id: str
        ) -> HttpResponse:
            row = page.get_object(request, object_id)
            if row is None:
                return page.back_to_list(request)
            refusal = _try(form, lambda: function(page, request, row, **form.values()))
            return _again(request, dialog, form) if refusal else page.back(request, object_id)

        return _button(act, function.__name__, dialog, icon, available)

    return decorate


def list_form_button(
    description: str, form_class: type[DialogForm], *, question: str = "", icon: str | None = None
) -> Callable[[Callable[..., None]], Callable[..., HttpResponse]]:
    """The same above a list, for what is not there yet."""
    dialog = _dialog(description, question, form_class)

    def decorate(function: Callable[..., None]) -> Callable[..., HttpResponse]:
        def act(page: ConsoleAdmin, request: HttpRequest, form: DialogForm) -> HttpResponse:
            refusal = _try(form, lambda: function(page, request, **form.values()))
            return _again(request, dialog, form) if refusal else page.back_to_list(request)

        return _button(act, function.__name__, dialog, icon, bool)

    return decorate


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


def _try(form: DialogForm, operation: Callable[[], None]) -> bool:
    """Whether it was refused."""
    try:
        operation()
    except DomainError as error:
        form.refuse(error)
        return True
    return False


def _again(request: HttpRequest, dialog: dict[str, Any], form: DialogForm) -> HttpResponse:
    shown = {"dialog": dialog, "form": form, "form_submit_text": dialog["form_submit_text"]}
    return render(request, DIALOG, shown)
