"""Every row of a domain app belongs to one organization, in a column of its own."""

from django.apps import apps

from tests.architecture import house

# Models without the column, each with its reason.
SHARED: dict[str, str] = {
    "accounts.Organization": "It is the tenant itself.",
    "events.OutboxHead": "One row for the whole hub: the sequence that was given last.",
}


def owned_models() -> dict[str, set[str]]:
    """The column names of every concrete model of the domain apps, by label."""
    return {
        model._meta.label: {field.attname for field in model._meta.concrete_fields}
        for model in apps.get_models()
        if model.__module__.split(".")[0] in house.domain_apps() and not model._meta.proxy
    }


def test_every_model_names_its_organization() -> None:
    homeless = [
        label
        for label, columns in owned_models().items()
        if "organization_id" not in columns and label not in SHARED
    ]

    assert not homeless


def test_no_shared_model_is_listed_in_vain() -> None:
    models = owned_models()

    assert not [
        label for label in SHARED if label not in models or "organization_id" in models[label]
    ]
