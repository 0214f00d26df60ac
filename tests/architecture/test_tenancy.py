"""Every row of a domain app belongs to one organization, in a column of its own."""

from django.apps import apps
from django.db import connection

from accounts.models import Organization
from tests.architecture import house

# Models without the column, each with its reason.
SHARED: dict[str, str] = {
    "accounts.Organization": "It is the tenant itself.",
    "audit.AuditKey": "The hub's own public keys, which sign for every organization.",
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


# Tables with an organization's rows that are not secured, each with its reason.
OPEN: dict[str, str] = {}


def test_postgresql_keeps_every_organizations_rows_apart(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, relrowsecurity AND relforcerowsecurity, count(pol.oid)"
            " FROM pg_class LEFT JOIN pg_policy AS pol ON polrelid = pg_class.oid"
            " WHERE relkind = 'r' GROUP BY 1, 2"
        )
        tables = {name: secured and policies == 1 for name, secured, policies in cursor.fetchall()}
    owned = [
        model._meta.db_table
        for model in apps.get_models()
        if "organization_id" in {field.attname for field in model._meta.concrete_fields}
        or model is Organization
    ]

    assert [table for table in owned if not tables[table] and table not in OPEN] == []


def test_no_table_is_open_in_vain(db: None) -> None:
    tables = {model._meta.db_table for model in apps.get_models()}

    assert set(OPEN) <= tables


def test_the_hub_connects_as_a_role_that_policies_bind(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, False)
