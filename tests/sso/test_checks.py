"""Whether a provider can be used, as administrators and operators are told."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Organization
from sso.operations import checks
from tests.peers.oidc_provider import Provider
from tests.peers.oidc_provider.crooked import Crooked

pytestmark = pytest.mark.django_db


def found(organization: Organization) -> tuple[bool, str]:
    report = checks.check_provider(organization_id=organization.pk)
    return report.ok, report.lines[-1]


def test_a_good_provider(connected: Organization, provider: Provider) -> None:
    report = checks.check_provider(organization_id=connected.pk)

    assert report.ok
    assert report.lines == [
        f"{provider.issuer} publishes its endpoints.",
        "It has 1 usable key.",
        "Client id and secret are tried by the first login.",
    ]


def test_nothing_is_set_up(organization: Organization) -> None:
    assert found(organization) == (False, "Set `oidc_issuer` and `oidc_client_id` first.")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"issuer": "https://other"}, "it names another issuer. Set `oidc_issuer` to just that."),
        ({"jwks_uri": None}, "the document has no `jwks_uri`."),
        ({"token_endpoint": "gopher://x"}, "the document's `token_endpoint` is no address."),
    ],
)
def test_a_document_that_is_wrong(
    deceived: Organization, liar: Crooked, change: dict[str, Any], sentence: str
) -> None:
    liar.metadata |= change

    ok, said = found(deceived)

    assert not ok
    assert said == f"{liar.issuer}/.well-known/openid-configuration: {sentence}"


def test_it_signs_with_nothing_that_counts(deceived: Organization, liar: Crooked) -> None:
    liar.metadata["id_token_signing_alg_values_supported"] = ["HS256", "none"]

    assert found(deceived) == (False, "It signs with none of RS256, ES256, EdDSA.")


def test_none_of_its_keys_can_be_used(deceived: Organization, liar: Crooked) -> None:
    assert found(deceived)[0]
    liar.keys = [{"kty": "oct", "k": "x"}, "no key"]  # type: ignore[list-item]

    assert found(deceived) == (False, f"{liar.issuer}/keys: no key of it can be used.")


def test_it_fails(deceived: Organization, liar: Crooked) -> None:
    liar.status = 503

    ok, said = found(deceived)

    assert (ok, said.partition(": ")[2]) == (False, "the answer has the status 503.")


def test_it_is_where_the_hub_may_not_go(deceived: Organization, settings: Any) -> None:
    settings.HUB_OUTBOUND_ALLOW = ()

    ok, said = found(deceived)

    assert not ok
    assert "HUB_OUTBOUND_ALLOW" in said


def test_the_command_says_the_same(
    connected: Organization, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("check_sso", connected.slug)

    assert "It has 1 usable key." in capsys.readouterr().out


def test_the_command_fails_where_logins_would(organization: Organization) -> None:
    with pytest.raises(CommandError, match="oidc_issuer"):
        call_command("check_sso", organization.slug)
    with pytest.raises(CommandError, match="No organization has the slug nowhere"):
        call_command("check_sso", "nowhere")
