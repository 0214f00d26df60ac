"""Console pages of settings, IP rules and health."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import IpRule, User
from audit.models import AuditEvent
from kernel import clock
from kernel.tasks import note_pulse
from preferences import operations
from preferences.models import StoredSetting
from preferences.selectors import values
from tests.accounts.factories import make_actor

SECURITY = "/admin/settings/security/"
MODELS = "/admin/settings/llm/"
RULES = "/admin/ip-rules/"
KEY = "sk-0123456789abcdef"


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def send(console: Client, page: str, **typed: Any) -> Any:
    """Open the page, type, and save: what was not touched is sent as it was shown."""
    form = console.get(page).context["form"]
    sent: dict[str, Any] = {}
    for field in form:
        shown = field.value()
        if shown is not None and shown is not False:
            sent[field.html_name] = shown
        if field.field.show_hidden_initial:
            sent[field.html_initial_name] = "" if field.initial is None else str(field.initial)
    sent |= {name: value for name, value in typed.items() if value is not None}
    for name in [name for name, value in typed.items() if value is None]:
        sent.pop(name, None)
    return console.post(page, sent)


def setting(user: User, key: str) -> Any:
    return values.read(organization_id=user.organization_id)[key]


def test_settings_open_with_the_first_category(console: Client) -> None:
    answer = console.get("/admin/settings/", follow=True)

    assert answer.redirect_chain == [("/admin/settings/general/", 302)]
    assert b"Announcement" in answer.content


def test_what_is_typed_counts_and_the_rest_stays_default(console: Client, admin: User) -> None:
    answer = send(console, SECURITY, password_min_length="16", mfa_required="on")

    assert answer.status_code == 302
    assert setting(admin, "security.password_min_length") == 16
    assert setting(admin, "security.mfa_required") is True
    assert StoredSetting.objects.count() == 2
    assert AuditEvent.objects.filter(action="settings.update").count() == 2


def test_a_switch_can_be_turned_off(console: Client, admin: User) -> None:
    send(console, SECURITY, password_require_special=None)

    assert setting(admin, "security.password_require_special") is False


def test_a_list_is_typed_line_by_line(console: Client, admin: User) -> None:
    typed = "cn=ops,dc=x=operator\r\n\r\n staff=viewer "

    send(console, SECURITY, oidc_group_roles=typed)
    send(console, SECURITY, password_min_length="16")

    assert setting(admin, "security.oidc_group_roles") == ["cn=ops,dc=x=operator", "staff=viewer"]
    assert b"cn=ops,dc=x=operator\nstaff=viewer</textarea>" in console.get(SECURITY).content
    answer = send(console, SECURITY, oidc_group_roles="staff")
    assert b"Send entries of the form group=role" in answer.content
    send(console, SECURITY, oidc_group_roles="")
    assert setting(admin, "security.oidc_group_roles") == []


def test_an_emptied_field_is_the_default_again(console: Client, admin: User) -> None:
    send(console, SECURITY, password_min_length="16")

    send(console, SECURITY, password_min_length="")

    assert not StoredSetting.objects.exists()


def test_an_old_page_brings_nothing_back(console: Client, admin: User) -> None:
    form = console.get(SECURITY).context["form"]
    operations.change(
        organization_id=admin.organization_id,
        values={"security.password_min_length": 16},
        actor=make_actor(admin),
        now=clock.now(),
    )
    sent = {field.html_name: field.value() for field in form if field.value()}
    sent |= {field.html_initial_name: str(field.initial) for field in form}

    console.post(SECURITY, {**sent, "lockout_minutes": "60"})

    assert setting(admin, "security.lockout_minutes") == 60
    assert setting(admin, "security.password_min_length") == 16


def test_a_refusal_is_shown_beside_its_field(console: Client) -> None:
    answer = send(console, SECURITY, password_min_length="3", mfa_required="on")

    assert answer.status_code == 200
    assert answer.context["form"].errors == {"password_min_length": ["Send a number from 8 to 64."]}
    assert not StoredSetting.objects.exists()


def test_a_secret_is_kept_replaced_and_forgotten_but_never_shown(
    console: Client, admin: User
) -> None:
    send(console, MODELS, openai_api_key=KEY)
    send(console, MODELS, default_model="mine")

    page = console.get(MODELS).content.decode()
    assert setting(admin, "llm.openai_api_key") == KEY
    assert KEY not in page
    assert "sk-0…cdef" in page

    send(console, MODELS, **{"forget-openai_api_key": "on"})
    assert setting(admin, "llm.openai_api_key") == ""


def test_a_refused_page_says_that_the_secret_is_to_be_typed_again(console: Client) -> None:
    answer = send(console, SECURITY, password_min_length="3", oidc_client_secret="a secret")
    untouched = send(console, SECURITY, password_min_length="3")

    again = ["Nothing was saved. Type the secret again."]
    assert answer.context["form"].errors["oidc_client_secret"] == again
    assert "a secret" not in answer.content.decode()
    assert "oidc_client_secret" not in untouched.context["form"].errors


@pytest.mark.parametrize(
    ("page", "entry"), [(SECURITY, "Security policy"), (MODELS, "Settings"), (RULES, "IP rules")]
)
def test_the_menu_marks_one_entry(console: Client, page: str, entry: str) -> None:
    groups = console.get(page).context["sidebar_navigation"]

    assert [i["title"] for g in groups for i in g["items"] if i["active"]] == [entry]


@pytest.mark.parametrize(
    "page", ["/admin/settings/", SECURITY, MODELS, RULES, "/admin/health/", "/admin/settings/no/"]
)
def test_they_open_for_administrators_alone(client: Client, operator: User, page: str) -> None:
    client.force_login(operator)

    assert client.get(page).status_code in {403, 404}
    assert client.post(page, {"password_min_length": "16", "rules": ""}).status_code in {403, 404}
    assert not StoredSetting.objects.exists()


def test_a_stranger_is_sent_to_the_login(client: Client) -> None:
    answer = client.get(SECURITY)

    assert (answer.status_code, answer["Location"]) == (
        302,
        f"{reverse('admin:login')}?next={SECURITY}",
    )


def test_settings_alone_do_not_open_security(client: Client, operator: User) -> None:
    role = operator.assignments.get().role
    role.permissions = [*role.permissions, "settings.edit"]
    role.save(update_fields=["permissions"])
    client.force_login(operator)

    assert client.get(MODELS).status_code == 200
    assert client.get(SECURITY).status_code == 403


def test_everybody_reads_the_announcement(console: Client, client: Client, viewer: User) -> None:
    send(console, "/admin/settings/general/", announcement="Closed on <b>Friday</b>.")
    client.force_login(viewer)

    assert b"Closed on &lt;b&gt;Friday&lt;/b&gt;." in client.get("/admin/").content


def test_the_identity_provider_is_tried(console: Client) -> None:
    page = console.get(SECURITY).content.decode()
    answer = console.post(f"{SECURITY}check-provider/", follow=True)

    assert 'form="check-provider"' in page
    assert answer.redirect_chain == [(SECURITY, 302)]
    (message,) = answer.context["messages"]
    assert message.level_tag == "error"
    assert message.message == "Set `oidc_issuer` and `oidc_client_id` first."


def test_the_provider_is_tried_by_who_edits_security_alone(client: Client, operator: User) -> None:
    client.force_login(operator)

    assert client.post(f"{SECURITY}check-provider/").status_code == 403


def test_the_policy_is_grouped_and_every_setting_is_in_a_group(console: Client) -> None:
    form = console.get(SECURITY).context["form"]
    sections = {section.title: section for section in form.sections}

    assert list(sections) == [
        "Passwords",
        "Second factor",
        "Step-up",
        "Sessions",
        "Lockout and limits",
        "Registration",
        "Single sign-on",
    ]
    shown = [field.name for section in form.sections for field in section.fields]
    assert sorted(shown) == sorted(form.fields)
    assert form["session_max_duration_hours"].label == "Longest session (hours)"
    assert form["rate_limit_user"].label == "Requests of a person a minute"
    assert "an API key" in form["step_up_required"].help_text
    assert "/sso/callback" in sections["Single sign-on"].help


@pytest.mark.parametrize("category", ["general", "llm", "email"])
def test_every_category_shows_all_it_has(console: Client, category: str) -> None:
    form = console.get(f"/admin/settings/{category}/").context["form"]

    shown = [field.name for section in form.sections for field in section.fields]
    assert sorted(shown) == sorted(form.fields)


class TestRules:
    def test_the_list_is_replaced(self, console: Client) -> None:
        text = "allow 127.0.0.1 this machine\n\ndeny 10.0.0.0/8\n"

        answer = console.post(RULES, {"rules": text})

        assert answer.status_code == 302
        rows = IpRule.objects.order_by("position").values_list("action", "cidr", "description")
        assert list(rows) == [
            ("allow", "127.0.0.1/32", "this machine"),
            ("deny", "10.0.0.0/8", ""),
        ]
        shown = console.get(RULES).context["form"].initial["rules"]
        assert shown == "allow 127.0.0.1/32 this machine\ndeny 10.0.0.0/8"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("permit 10.0.0.0/8", "Line 1: write allow or deny, then a network."),
            ("allow 127.0.0.1\ndeny", "Line 2: write allow or deny, then a network."),
            (
                "deny 10.0.0.1/8",
                "10.0.0.1/8: Send a network such as 10.0.0.0/8 or 2001:db8::/32."
                " Did you mean 10.0.0.0/8?",
            ),
            (
                "deny 127.0.0.0/8",
                "These rules would lock you out. Add a rule that allows your present address.",
            ),
        ],
    )
    def test_a_refusal_keeps_what_was_typed(self, console: Client, text: str, message: str) -> None:
        answer = console.post(RULES, {"rules": text})

        assert answer.context["form"].errors["rules"] == [message]
        assert text in answer.content.decode()
        assert not IpRule.objects.exists()


def test_health_is_shown(console: Client) -> None:
    note_pulse()

    page = console.get("/admin/health/").content.decode()

    assert "The hub is healthy" in page
    assert "not configured" in page
    assert 'data-status="not_configured"' in page
