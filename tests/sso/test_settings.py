"""The settings of an identity provider: what may be set, and by whom."""

from typing import Any

import pytest

from accounts.models import Organization, Role, User
from sso import selectors
from sso.errors import NotConfigured
from tests.accounts.factories import set_policy
from tests.clients import ApiClient
from tests.peers.oidc_provider import CLIENT_ID, SECRET
from tests.sso import factories

ISSUER = "https://login.example.com/realms/staff"
WRONG_ISSUER = "Send the issuer's address, such as https://login.example.com/realms/staff."
WRONG_SCOPES = "Send scopes with one blank in between; `openid` must be among them."


def put(user: User, name: str, value: Any) -> Any:
    path = f"/api/v1/settings/security/oidc_{name}"
    return ApiClient(user).put(path, {"value": value})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("issuer", "login.example.com", WRONG_ISSUER),
        ("issuer", "ftp://login.example.com", WRONG_ISSUER),
        ("issuer", "https://", WRONG_ISSUER),
        ("issuer", "https://login.example.com/?a=b", WRONG_ISSUER),
        ("issuer", "https://login.example.com/#part", WRONG_ISSUER),
        ("issuer", "https://user@login.example.com/", WRONG_ISSUER),
        ("issuer", "https://login.example.com:99999/", WRONG_ISSUER),
        ("issuer", "https://login.example.com/" + "x" * 255, WRONG_ISSUER),
        ("issuer", 7, "Send a text of at most 2000 characters."),
        ("scopes", "email profile", WRONG_SCOPES),
        ("scopes", "openid  email", WRONG_SCOPES),
        ("scopes", 'openid "', WRONG_SCOPES),
        ("groups_claim", "", "Send the name of the claim that lists a person's groups."),
        ("group_roles", "a=b", "Send a list of at most 200 texts."),
        ("group_roles", ["staff"], "Send entries of the form group=role, unlike 'staff'."),
        (
            "group_roles",
            ["a=b", "staff= "],
            "Send entries of the form group=role, unlike 'staff='.",
        ),
        ("group_roles", ["=b"], "Send entries of the form group=role, unlike '=b'."),
        (
            "allowed_domains",
            ["@example.com"],
            "Send domains such as example.com, unlike '@example.com'.",
        ),
        ("allowed_domains", ["com"], "Send domains such as example.com, unlike 'com'."),
        ("create_users", "perhaps", "Send true or false."),
    ],
)
def test_a_bad_value_is_refused(admin: User, name: str, value: Any, sentence: str) -> None:
    answer = put(admin, name, value)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": f"security.oidc_{name}", "message": sentence, "type": "invalid"}
    ]


def test_a_good_one_counts(organization: Organization, admin: User) -> None:
    factories.connect(organization, ISSUER)
    Role.objects.create(organization=organization, name="Some Role")
    assert put(admin, "group_roles", ["cn=ops,dc=x=operator", "a b = Some Role"]).status_code == 200
    assert put(admin, "allowed_domains", ["Example.COM"]).status_code == 200
    assert put(admin, "create_users", "true").status_code == 200

    agreed = selectors.get_registration(organization_id=organization.pk)

    assert agreed == selectors.Registration(
        organization_id=organization.pk,
        issuer=ISSUER,
        client_id=CLIENT_ID,
        client_secret=SECRET,
        scopes="openid email profile",
        groups_claim="groups",
        group_roles=(("cn=ops,dc=x", "operator"), ("a b", "Some Role")),
        default_role="",
        allowed_domains=frozenset({"example.com"}),
        creates_users=True,
    )
    assert SECRET not in repr(agreed)


@pytest.mark.parametrize(
    ("name", "value"),
    [("group_roles", ["a=viewer", "b=Nobody"]), ("default_role", "Nobody")],
)
def test_a_role_that_is_not_there_is_refused(admin: User, name: str, value: Any) -> None:
    answer = put(admin, name, value)

    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "field": f"security.oidc_{name}",
            "message": "There is no role 'Nobody'.",
            "type": "unknown_role",
        }
    ]


def test_one_that_is_gone_keeps_nothing_else_from_being_set(admin: User) -> None:
    factories.connect_with_lost_roles(
        admin.organization, ISSUER, group_roles=["a=Gone"], default_role="Gone"
    )

    assert put(admin, "group_roles", ["b=VIEWER", "a=Gone"]).status_code == 200
    assert put(admin, "default_role", "Gone").status_code == 200


def test_the_secret_is_shown_to_nobody(organization: Organization, admin: User) -> None:
    factories.connect(organization, ISSUER)

    shown = ApiClient(admin).get("/api/v1/settings/").json()["security"]["oidc_client_secret"]

    assert shown["is_secret"] is True
    assert SECRET not in shown["value"]


def test_only_who_may_edit_security_may_connect_a_provider(operator: User, admin: User) -> None:
    assert put(operator, "issuer", ISSUER).status_code == 403
    assert put(admin, "issuer", ISSUER).status_code == 200


@pytest.mark.parametrize("missing", ["issuer", "client_id"])
def test_half_a_registration_is_none(organization: Organization, missing: str) -> None:
    factories.connect(organization, ISSUER)
    set_policy(organization, **{f"oidc_{missing}": None})

    with pytest.raises(NotConfigured):
        selectors.get_registration(organization_id=organization.pk)
    assert selectors.find_button() is None


def test_a_login_page_offers_the_only_organization(organization: Organization) -> None:
    factories.connect(organization, ISSUER, button_label="Log in with Keycloak")

    assert selectors.find_button() == selectors.Button(organization.slug, "Log in with Keycloak")


def test_a_login_page_of_several_tells_of_none(
    organization: Organization, other_organization: Organization
) -> None:
    factories.connect(organization, ISSUER)

    assert selectors.find_button() is None
    Organization.objects.filter(pk=other_organization.pk).update(is_active=False)
    assert selectors.find_button() is not None
