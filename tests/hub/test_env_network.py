"""What the environment says of proxies and limits."""

from ipaddress import ip_network

import pytest
from django.core.exceptions import ImproperlyConfigured

from hub.env import read

SECRET = {"HUB_SECRET_KEY": "s" * 32}


def test_limits_are_the_contracts_by_default() -> None:
    assert read({"DATABASE_URL": "postgres://x"}).rate_limits == {
        "ip": 120,
        "login": 20,
        "register": 10,
    }


def test_they_are_off_in_tests_and_on_request() -> None:
    assert read({"HUB_ENV": "test"}).rate_limits == {}
    assert read({"HUB_ENV": "test", "HUB_RATE_LIMITS": "off"}).rate_limits == {}
    assert read({"HUB_ENV": "test", "HUB_RATE_LIMITS": "on"}).rate_limits["ip"] == 120


def test_each_can_be_set() -> None:
    given = {"HUB_ENV": "test", "HUB_RATE_LIMITS": "on", "HUB_RATE_LIMIT_LOGIN": "5"}

    assert read(given).rate_limits == {"ip": 120, "login": 5, "register": 10}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HUB_RATE_LIMITS", "off", "HUB_RATE_LIMITS is off, which HUB_ENV=production"),
        ("HUB_RATE_LIMITS", "perhaps", "HUB_RATE_LIMITS must be one of: on, off."),
        ("HUB_RATE_LIMIT_IP", "0", "HUB_RATE_LIMIT_IP must be a whole number from 1"),
        ("HUB_TRUSTED_PROXIES", "10.0.0.1/8", "HUB_TRUSTED_PROXIES must list networks"),
        ("HUB_METRICS_ALLOW", "everybody", "HUB_METRICS_ALLOW must list networks"),
        ("HUB_METRICS_TOKEN", "short", "HUB_METRICS_TOKEN is too short."),
        ("HUB_SMTP_URL", "http://x", "HUB_SMTP_URL must start with smtp:// or smtps://."),
    ],
)
def test_what_is_wrong_stops_the_start(name: str, value: str, says: str) -> None:
    given = {"HUB_ENV": "production", "DATABASE_URL": "postgres://x", **SECRET, name: value}

    with pytest.raises(ImproperlyConfigured, match=says):
        read(given)


def test_proxies_are_networks() -> None:
    found = read({"HUB_ENV": "test", "HUB_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::1"})

    assert found.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128"))


def test_commands_have_names() -> None:
    given = {"HUB_ENV": "test", "HUB_MCP_COMMANDS": '{"files": ["mcp-files", "/srv"]}'}

    assert read(given).mcp_commands == {"files": ("mcp-files", "/srv")}
    assert read({"HUB_ENV": "test"}).mcp_commands == {}


@pytest.mark.parametrize("value", ["files", "[]", '{"a": []}', '{"": ["b"]}', '{"a": [1]}', "1"])
def test_what_is_no_command_stops_the_start(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="HUB_MCP_COMMANDS must be a JSON object"):
        read({"HUB_ENV": "test", "HUB_MCP_COMMANDS": value})
