"""Each row of the contract is either served as it says, or listed in unserved.txt."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.test import Client
from django.urls import Resolver404, resolve
from drf_spectacular.generators import SchemaGenerator

from tests.contract import rows
from tests.contract.rows import Row

# Plain Django views for probes and scrapers, outside the described API.
PLAIN_ROUTES = {("GET", path) for path in ("/health", "/healthz", "/readyz", "/metrics")}
# Open to strangers without a row of the contract, each with its reason.
OPEN_BESIDE = {
    ("POST", "/api/v1/auth/verify-mfa"): "It takes the temporary token of a login (003 B1).",
    ("POST", "/api/v1/auth/oidc/start"): "It begins a login, as `/auth/login` does.",
    ("POST", "/api/v1/auth/oidc/finish"): "It takes the state of a login, once.",
}
METHODS = {"get", "post", "put", "patch", "delete"}
SOME_ID = "0198a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


@cache
def document() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


@cache
def described() -> dict[tuple[str, str], dict[str, Any]]:
    """The operations of the schema by method and path template."""
    return {
        (method.upper(), rows.template(path)): operation
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def url(row: Row) -> str:
    return rows.template(row.path).replace("{}", SOME_ID)


def is_answered(row: Row) -> bool:
    if row.route not in PLAIN_ROUTES:
        return row.route in described()
    try:
        resolve(url(row))
    except Resolver404:
        return False
    return True


def schemes(row: Row) -> Iterator[dict[str, Any]]:
    """The security schemes of the row's operation; an empty one where none is needed."""
    known = document()["components"].get("securitySchemes", {})
    for alternative in described()[row.route].get("security", [{}]):
        if not alternative:
            yield {}
        for name in alternative:
            yield known[name]


def in_schema() -> list[Row]:
    return [row for row in rows.served() if row.route not in PLAIN_ROUTES]


def described_rows() -> list[Row]:
    return [row for row in in_schema() if row.route in described()]


def keys(some: list[Row]) -> list[str]:
    return [row.key for row in some]


def test_no_row_was_dropped_or_doubled() -> None:
    assert len(rows.every()) == len({row.key for row in rows.every()}) == 255


def test_unserved_is_sorted_without_doubles() -> None:
    assert list(rows.unserved()) == sorted(set(rows.unserved()))


def test_unserved_names_rows_of_the_contract() -> None:
    assert not set(rows.unserved()) - {row.key for row in rows.every()}


@pytest.mark.parametrize("row", rows.served(), ids=lambda row: row.key)
def test_row_is_answered(row: Row) -> None:
    assert is_answered(row)


def test_what_is_answered_is_not_listed_as_unserved() -> None:
    """Where seeds share a route, one may wait for the fields that its own issue brings."""
    claimed = {row.route for row in rows.served()}

    hidden = [
        row
        for row in rows.every()
        if row.key in rows.unserved() and row.route not in claimed and is_answered(row)
    ]

    assert not keys(hidden)


def test_public_rows_need_no_credential() -> None:
    guarded = [row for row in described_rows() if row.is_public and any(schemes(row))]

    assert not keys(guarded)


def test_other_rows_always_need_one() -> None:
    open_to_all = [row for row in described_rows() if not row.is_public and not all(schemes(row))]

    assert not keys(open_to_all)


def test_bearer_rows_take_a_bearer_token() -> None:
    strangers = [
        row
        for row in described_rows()
        if row.auth.startswith("bearer")
        and not any(s.get("type") == "http" and s.get("scheme") == "bearer" for s in schemes(row))
    ]

    assert not keys(strangers)


@pytest.mark.django_db
@pytest.mark.parametrize("slash", ["", "/"], ids=["bare", "slash"])
@pytest.mark.parametrize("row", in_schema(), ids=lambda row: row.key)
def test_row_refuses_strangers(row: Row, slash: str, client: Client) -> None:
    """With no credential: 401 where one is needed, before the body or the id is looked at."""
    answer = client.generic(row.method, url(row) + slash, b"{}", content_type="application/json")

    assert (answer.status_code == 401) is not row.is_public
    assert answer.status_code < 500
    assert answer.status_code not in {301, 302, 404, 405, 307, 308}


@pytest.mark.django_db
@pytest.mark.parametrize("route", sorted(PLAIN_ROUTES), ids=lambda route: route[1])
def test_plain_routes_answer_strangers(route: tuple[str, str], client: Client) -> None:
    answer = client.generic(*route)

    assert answer.status_code in ({200, 503} if route[1] == "/readyz" else {200})


def test_every_described_operation_denies_by_default() -> None:
    """Also those that no seed names: only rows of the contract may be public."""
    public = {row.route for row in rows.every() if row.is_public}

    unguarded = [
        f"{method} {path}"
        for (method, path), operation in described().items()
        if (method, path) not in {*public, *OPEN_BESIDE} and {} in operation.get("security", [{}])
    ]

    assert not unguarded
