"""The console's page of prices of the organization's own."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from cost import choices
from cost.models import ModelPrice
from cost.operations import own_prices
from cost.selectors import prices
from kernel import clock
from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import exact_time, money_column
from kernel.admin_forms import TEXT, DialogForm, form_button, list_form_button, text
from preferences.choices import EDIT


def _dollars(label: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        min_value=0,
        max_digits=choices.MONEY_DIGITS,
        decimal_places=choices.MONEY_PLACES,
        widget=TEXT(),
    )


class AmountsForm(DialogForm):
    """What a model costs."""

    input_usd = _dollars("US dollars for a million tokens sent")
    output_usd = _dollars("… and received")

    def prepare(self) -> None:
        """A price that is there has amounts."""
        if self.object_id is None:
            return
        rows = prices.list_prices(organization_id=self.request.user.organization_id)
        price = rows.filter(pk=self.object_id).first()
        for name in ("input_usd", "output_usd"):
            self.fields[name].initial = price and f"{getattr(price, name).normalize():f}"


class PriceForm(AmountsForm):
    """A new price."""

    provider = text("Provider", length=64, help_text="Such as openai.")
    model = text("Model", help_text="Such as llama3.2; * stands for anything.")
    field_order: ClassVar = ["provider", "model"]

    def clean_provider(self) -> str:
        """As the API takes it."""
        return self._fit("provider", choices.PROVIDER)

    def clean_model(self) -> str:
        """The same."""
        return self._fit("model", choices.MODEL_PATTERN)

    def _fit(self, name: str, pattern: str) -> str:
        found: str = self.cleaned_data[name]
        forms.RegexField(rf"^{pattern}\Z").clean(found)
        return found


@admin.register(ModelPrice)
class PriceAdmin(ConsoleAdmin):
    """What models cost here, before the price list is asked."""

    page_title = "Model prices"
    view_permission = "cost.read"
    edit_permission = EDIT
    api_path = "/api/v1/prices"
    list_display: ClassVar = (
        "provider",
        "model",
        money_column("input_usd", "a million tokens sent"),
        money_column("output_usd", "a million tokens received"),
        "short_id",
    )
    search_fields: ClassVar = ("provider", "model")
    ordering: ClassVar = ("provider", "model", "pk")
    fields: ClassVar = (
        "provider",
        "model",
        "input_usd",
        "output_usd",
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )
    actions_list: ClassVar = ("create_price",)
    actions_detail: ClassVar = ("change_price", "delete_price")

    @list_form_button("New price", PriceForm, icon="add")
    def create_price(self, request: HttpRequest, **values: Any) -> None:
        """Set one."""
        own_prices.create_price(**values, **self._who(request))

    @form_button("Change", AmountsForm, icon="tune")
    def change_price(self, request: HttpRequest, price: ModelPrice, **values: Any) -> None:
        """Calls that were booked keep their cost."""
        own_prices.change_price(price_id=price.pk, values=values, **self._who(request))

    @confirmed("Delete", "The price list counts again.")
    def delete_price(self, request: HttpRequest, price: ModelPrice) -> None:
        """Forget it."""
        self.attempt(request, own_prices.delete_price, price_id=price.pk, **self._who(request))

    def _who(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "organization_id": request.user.organization_id,  # type: ignore[union-attr]  # logged in
            "actor": self.actor(request),
            "now": clock.now(),
        }
