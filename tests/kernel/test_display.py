"""How the console writes things."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from kernel import display

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        ("0", "$0.0000"),
        ("0.00000001", "<$0.0001"),
        ("0.00005", "$0.0000"),
        ("0.00006", "$0.0001"),
        ("1234.5", "$1,234.5000"),
    ],
)
def test_money(cost: str, shown: str) -> None:
    assert display.money(Decimal(cost)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.0494, "49 ms"),
        (3.21, "3.2 s"),
        (59, "59 s"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3780, "1 h 3 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert display.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "just now"), (4, "just now"), (12, "12 s ago"), (200, "3 min ago"), (-7200, "in 2 h")],
)
def test_moments(seconds: int, shown: str) -> None:
    moment = NOW - timedelta(seconds=seconds)

    assert f">{shown}</time>" in display.since(moment, now=NOW)


def test_a_moment_that_never_was() -> None:
    assert display.since(None, now=NOW) == display.exact(None) == "-"


def test_everything_is_escaped() -> None:
    attack = '"><script>'

    for shown in (
        display.status(attack),
        display.identifier(attack),
        display.whole_identifier(attack),
        display.api_address(attack),
        display.text_block(attack),
        display.text_box(attack),
        display.structure_block({"a": attack}),
        display.page_link("accounts_user", attack, attack),
    ):
        assert "<script>" not in shown


def test_a_page_that_this_hub_lacks_is_named_without_a_link() -> None:
    assert display.page_link("nobody_nothing", "01", "it") == "it"


def test_structures_are_indented_and_their_texts_keep_their_lines() -> None:
    shown = display.structure({"a": "one\ntwo", "b": r"C:\new", "c": 'say "x"'})

    assert shown == '{\n  "a": "one\ntwo",\n  "b": "C:\\\\new",\n  "c": "say \\"x\\""\n}'
