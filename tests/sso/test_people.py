"""Who comes in with a provider, as whom, with which roles and factors."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from accounts.choices import IpAction, UserRole
from accounts.models import IpRule, Organization, Role, RoleAssignment, Session, User
from audit.models import AuditEvent
from kernel import clock, tenancy
from sso.models import Identity
from sso.operations import people
from tests.accounts.factories import (
    PASSWORD,
    enrol,
    make_actor,
    make_user,
    set_policy,
    totp,
)
from tests.clients import ApiClient
from tests.peers.oidc_provider import Provider
from tests.peers.oidc_provider.crooked import SUBJECT, Crooked
from tests.sso import factories
from tests.sso.conftest import Program, asked

pytestmark = pytest.mark.django_db(transaction=True)
EMAIL = "olivia@example.com"


@pytest.fixture
def olivia(organization: Organization) -> User:
    """A viewer here whom the provider knows too."""
    return make_user(organization, role=UserRole.VIEWER, email=EMAIL)


def roles_of(user: User) -> list[str]:
    held = RoleAssignment.objects.filter(user=user).select_related("role")
    return sorted(assignment.role.name for assignment in held)


def refusal(answer: Any) -> tuple[int, str, Any]:
    event = AuditEvent.objects.filter(action="auth.oidc_login").latest("pk")
    return answer.status_code, answer.json()["code"], event.details.get("error_kind")


def test_an_unverified_address_finds_nobody(
    program: Program, connected: Organization, provider: Provider
) -> None:
    make_user(connected, role=UserRole.ADMIN, email="mallory@example.com")

    answer = program.log_in(connected, provider, "mallory")

    assert refusal(answer) == (403, "sso.not_admitted", "unverified_email")
    assert not Identity.objects.exists()
    assert not Session.objects.exists()


@pytest.mark.parametrize("verified", [False, "false", "no", 0, None, "yes", [True]], ids=str)
def test_only_a_plain_yes_verifies_an_address(
    program: Program, deceived: Organization, liar: Crooked, verified: Any
) -> None:
    answer = program.lied_to(deceived, liar, email_verified=verified)

    assert refusal(answer) == (403, "sso.not_admitted", "unverified_email")


def test_entra_verifies_addresses_by_another_name(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    answer = program.lied_to(deceived, liar, email_verified=None, xms_edov=True)

    assert answer.status_code == 200


@pytest.mark.parametrize("email", ["", "no address", "a@b", "x" * 250 + "@example.com", 7])
def test_an_address_that_is_none_finds_nobody(
    program: Program, deceived: Organization, liar: Crooked, email: Any
) -> None:
    liar.userinfo = {"sub": SUBJECT}

    assert refusal(program.lied_to(deceived, liar, email=email))[2] == "unverified_email"


def test_somebody_linked_is_known_by_their_subject_alone(
    program: Program, deceived: Organization, liar: Crooked, olivia: User
) -> None:
    factories.link(olivia, liar.issuer, SUBJECT)

    answer = program.lied_to(
        deceived, liar, email="renamed@example.com", email_verified=False, groups=[]
    )

    assert answer.json()["user"]["id"] == str(olivia.pk)
    assert Identity.objects.count() == 1


def test_another_subject_with_the_same_address_is_somebody_else(
    program: Program, deceived: Organization, liar: Crooked, olivia: User
) -> None:
    """The provider gave the address to another person."""
    factories.link(olivia, liar.issuer, "the first one")

    answer = program.lied_to(deceived, liar)

    assert refusal(answer) == (403, "sso.not_admitted", "linked_otherwise")
    people.unlink(user=olivia, actor=make_actor(olivia), now=clock.now())
    assert program.lied_to(deceived, liar).status_code == 200


def test_nobody_gets_an_account_unless_the_organization_makes_them(
    program: Program, connected: Organization, provider: Provider
) -> None:
    answer = program.log_in(connected, provider, "olivia")

    assert refusal(answer) == (403, "sso.not_admitted", "user_not_found")
    assert not User.objects.exists()


def test_nobody_gets_an_account_without_a_role(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    answer = program.lied_to(deceived, liar, groups=["nobody's"])

    assert refusal(answer) == (403, "sso.not_admitted", "no_role")
    assert not User.objects.exists()


def test_those_of_no_group_get_the_default_role(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    factories.connect(deceived, liar.issuer, default_role="Viewer")

    answer = program.lied_to(deceived, liar, groups=[])

    assert answer.json()["user"]["role"] == "viewer"


@pytest.mark.parametrize("domain", ["other.example.com", "xample.com", "example.com.org"])
def test_other_domains_stay_out(
    program: Program, deceived: Organization, liar: Crooked, olivia: User, domain: str
) -> None:
    factories.connect(deceived, liar.issuer, allowed_domains=[domain])

    answer = program.lied_to(deceived, liar)

    assert refusal(answer) == (403, "sso.not_admitted", "domain_refused")
    assert not Identity.objects.exists()


def test_domains_that_were_taken_away_count_for_those_who_are_linked(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    factories.connect(deceived, liar.issuer, allowed_domains=["EXAMPLE.com"])
    assert program.lied_to(deceived, liar).status_code == 200
    factories.connect(deceived, liar.issuer, allowed_domains=["example.org"])

    assert refusal(program.lied_to(deceived, liar))[2] == "domain_refused"


@pytest.mark.parametrize("is_linked", [True, False], ids=["linked", "new"])
def test_a_disabled_user_stays_out(
    program: Program, deceived: Organization, liar: Crooked, olivia: User, *, is_linked: bool
) -> None:
    User.objects.filter(pk=olivia.pk).update(is_active=False)
    if is_linked:
        factories.link(olivia, liar.issuer, SUBJECT)

    answer = program.lied_to(deceived, liar)

    assert refusal(answer) == (403, "auth.account_disabled", "user_disabled")
    assert roles_of(olivia) == ["viewer"]
    assert Identity.objects.exists() is is_linked


def test_the_password_stays_good(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    program.log_in(connected, provider, "olivia")

    answer = ApiClient().post("/api/v1/auth/login", {"email": EMAIL, "password": PASSWORD})

    assert answer.status_code == 200


def test_a_role_goes_with_its_group(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    answer = program.log_in(connected, provider, "olivia")
    token = answer.json()["token"]
    assert roles_of(olivia) == ["operator", "viewer"]
    provider.say("olivia", groups=["everybody"])

    program.log_in(connected, provider, "olivia")

    assert roles_of(olivia) == ["viewer"]
    headers = {"Authorization": f"Bearer {token}"}
    refused = program.client.post("/api/v1/agents/", {}, headers=headers)
    assert refused.status_code == 403
    actions = AuditEvent.objects.filter(action__startswith="user_role").order_by("pk")
    assert [event.action for event in actions] == ["user_role.grant", "user_role.withdraw"]


def test_what_was_given_by_hand_stays(
    program: Program, connected: Organization, provider: Provider
) -> None:
    """Also a role that a group would give."""
    olivia = make_user(connected, role=UserRole.OPERATOR, email=EMAIL)
    program.log_in(connected, provider, "olivia")
    provider.say("olivia", groups=[])

    answer = program.log_in(connected, provider, "olivia")

    assert answer.status_code == 200
    assert roles_of(olivia) == ["operator"]
    assert not AuditEvent.objects.filter(action__startswith="user_role").exists()


def test_without_any_role_left_nobody_comes_in(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    assert program.lied_to(deceived, liar).status_code == 200

    answer = program.lied_to(deceived, liar, groups=[])

    assert refusal(answer) == (403, "sso.not_admitted", "no_role")
    assert roles_of(User.objects.get()) == []


def test_the_last_who_may_give_roles_keeps_theirs(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    mapping = ["operators=operator", "admins=ADMIN"]
    factories.connect(deceived, liar.issuer, group_roles=mapping)
    program.lied_to(deceived, liar, groups=["operators", "admins"])

    answer = program.lied_to(deceived, liar, groups=[])

    user = User.objects.get()
    assert answer.status_code == 200
    assert roles_of(user) == ["admin"]
    assert AuditEvent.objects.filter(action="identity.role_kept").count() == 1
    make_user(deceived, role=UserRole.ADMIN)
    program.lied_to(deceived, liar, groups=["operators"])
    assert roles_of(user) == ["operator"]


def test_a_role_that_does_not_exist_gives_nothing(
    program: Program, deceived: Organization, liar: Crooked, olivia: User
) -> None:
    factories.connect_with_lost_roles(deceived, liar.issuer, group_roles=["operators=Nobody's"])

    assert program.lied_to(deceived, liar).status_code == 200
    assert roles_of(olivia) == ["viewer"]


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("groups", {"groups": ["cn=ops,dc=x"]}),
        ("groups", {"groups": "ops"}),
        ("realm_access.roles", {"realm_access": {"roles": ["ops"]}}),
        ("https://x.example.com/groups", {"https://x.example.com/groups": ["ops"]}),
    ],
)
def test_groups_are_found_where_the_provider_puts_them(
    program: Program,
    deceived: Organization,
    liar: Crooked,
    claim: str,
    claims: dict[str, Any],
) -> None:
    mapping = ["ops=operator", "cn=ops,dc=x=operator"]
    factories.connect(deceived, liar.issuer, groups_claim=claim, group_roles=mapping)

    answer = program.lied_to(deceived, liar, **{"groups": None, **claims})

    assert answer.json()["user"]["role"] == "operator"


@pytest.mark.parametrize("groups", [{"a": 1}, 7, [7, None, ["operators"]], None], ids=str)
def test_groups_that_are_none_give_nothing(
    program: Program, deceived: Organization, liar: Crooked, groups: Any
) -> None:
    liar.userinfo = {"sub": SUBJECT}

    assert refusal(program.lied_to(deceived, liar, groups=groups))[2] == "no_role"


@pytest.mark.parametrize(
    "claims", [{"amr": ["pwd", "mfa"]}, {"acr": "mfa"}, {"acr": "urn:x:MFA:strong"}], ids=str
)
def test_a_factor_shown_to_the_provider_counts(
    program: Program, deceived: Organization, liar: Crooked, olivia: User, claims: dict[str, Any]
) -> None:
    enrol(olivia)
    set_policy(deceived, mfa_required=True, mfa_grace_period_hours=0)

    answer = program.lied_to(deceived, liar, **claims, auth_time=int(time.time()) - 600)

    session = Session.objects.get(kind="api")
    assert "token" in answer.json()
    assert session.restriction == ""
    assert session.mfa_at is not None
    assert timedelta(minutes=9) < clock.now() - session.mfa_at < timedelta(minutes=11)


@pytest.mark.parametrize(
    "claims", [{}, {"amr": ["pwd"]}, {"amr": "mfa"}, {"acr": "mfaish"}, {"acr": 1}], ids=str
)
def test_without_it_the_own_second_factor_is_asked_for(
    program: Program, deceived: Organization, liar: Crooked, olivia: User, claims: dict[str, Any]
) -> None:
    enrolled = enrol(olivia)
    old = clock.now() - timedelta(days=400)
    User.objects.update(password_changed_at=old)

    answer = program.lied_to(deceived, liar, **claims).json()

    assert answer["mfa_required"] is True
    assert not Session.objects.filter(kind="api").exists()
    body = {"temp_token": answer["temp_token"], "totp_code": totp(enrolled.secret, ahead=1)}
    opened = ApiClient().post("/api/v1/auth/verify-mfa", body)
    assert opened.status_code == 200
    assert "password_expired" not in opened.json()


def test_where_everybody_needs_one_it_is_to_be_enrolled(
    program: Program, deceived: Organization, liar: Crooked, olivia: User
) -> None:
    set_policy(deceived, mfa_required=True, mfa_grace_period_hours=0)

    answer = program.lied_to(deceived, liar)

    assert answer.json()["mfa_enrollment_required"] is True
    assert Session.objects.get().restriction == "mfa"


def test_a_fresh_factor_at_the_provider_is_a_step_up(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    make_user(deceived, role=UserRole.ADMIN, email=EMAIL)
    set_policy(deceived, step_up_required=True)
    role = Role.objects.get(organization=deceived, name="viewer")

    def change(token: str) -> Any:
        return program.client.patch(
            f"/api/v1/roles/{role.pk}",
            {"description": "Looks"},
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        ).status_code

    fresh = program.lied_to(deceived, liar, amr=["mfa"]).json()["token"]
    stale = program.lied_to(deceived, liar, amr=["mfa"], auth_time=int(time.time()) - 7200)

    assert change(fresh) == 200
    assert change(stale.json()["token"]) == 412


def test_an_expired_password_keeps_nobody_out(
    program: Program, deceived: Organization, liar: Crooked, olivia: User
) -> None:
    User.objects.update(password_changed_at=clock.now() - timedelta(days=400))

    answer = program.lied_to(deceived, liar)

    assert "password_expired" not in answer.json()
    assert answer.status_code == 200


def test_addresses_that_are_kept_out_are_kept_out_here_too(
    program: Program, deceived: Organization, liar: Crooked, olivia: User
) -> None:
    IpRule.objects.create(
        organization=deceived, cidr="192.0.2.0/24", action=IpAction.DENY, position=1
    )
    begun = program.begin(deceived)
    liar.claims["nonce"] = asked(begun["authorization_url"])["nonce"]

    answer = program.client.post(
        "/api/v1/auth/oidc/finish",
        {"state": begun["state"], "code": "a code"},
        content_type="application/json",
        REMOTE_ADDR="192.0.2.7",
    )

    assert refusal(answer) == (403, "auth.address_refused", "address_refused")


def test_of_two_finishes_at_once_one_opens_a_session(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    begun = program.begin(deceived)
    liar.claims["nonce"] = asked(begun["authorization_url"])["nonce"]

    statuses = at_once(
        lambda: program.finish(state=begun["state"], code="a code").status_code, times=2
    )

    assert sorted(statuses) == [200, 400]
    assert Session.objects.count() == 1
    assert liar.asked("/token") == 1


def test_two_first_logins_at_once_make_one_user(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    begun = {code: program.begin(deceived) for code in ("one", "two")}
    liar.nonces = {code: asked(each["authorization_url"])["nonce"] for code, each in begun.items()}

    statuses = at_once(
        *(
            lambda code=code, state=each["state"]: (
                program.finish(state=state, code=code).status_code
            )
            for code, each in begun.items()
        )
    )

    assert statuses == [200, 200]
    assert (User.objects.count(), Identity.objects.count()) == (1, 1)
    assert roles_of(User.objects.get()) == ["operator"]
    assert Session.objects.count() == 2


def at_once(*calls: Any, times: int = 1) -> list[Any]:
    """What each call answers, all begun together."""
    found: list[Any] = []
    wanted = [call for call in calls for _ in range(times)]
    gate = threading.Barrier(len(wanted))

    def run(call: Any) -> None:
        with tenancy.platform():
            gate.wait()
            found.append(call())
        connections.close_all()

    threads = [threading.Thread(target=run, args=(call,)) for call in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
