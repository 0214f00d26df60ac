"""The offline verifier: a good export passes, and no change of it does."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import export_verifier, operations
from audit.export_verifier import canonical, read_keys, verify
from audit.models import AuditEvent
from audit.selectors import checkpoints
from audit.selectors.exports import Export
from kernel import clock
from kernel.actors import SYSTEM
from tests.audit.factories import record, seal
from tests.conftest import repository

ORGANIZATION = UUID(int=7)
MINUTE = timedelta(minutes=1)
Lines = list[bytes]


def export(**span: Any) -> Lines:
    """A whole export, line by line."""
    values = {"organization_id": ORGANIZATION, "since": None, "until": None, **span}
    taken = Export(operations.begin_export(**values, actor=SYSTEM, now=clock.now()))
    pieces = []
    while not taken.is_over:
        pieces.append(taken.next())
    return b"".join(pieces).splitlines(keepends=True)


def keys() -> list[bytes]:
    return [checkpoints.current_key().raw]


def verdict(lines: Lines) -> str:
    """The kind of the fault; `whole` without one."""
    fault = verify(lines, keys=keys()).fault
    return fault.kind if fault else "whole"


def kinds(lines: Lines) -> list[str]:
    return [json.loads(line)["type"] for line in lines]


@pytest.fixture
def chain(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows, a checkpoint after the third and the last."""
    monkeypatch.setattr("audit.selectors.chain.CHECKPOINT_ROWS", 4)
    for number in range(7):
        record(ORGANIZATION, resource_id=number, now=clock.now() + number * MINUTE)
        if number in {2, 6}:
            seal()


@pytest.fixture
def lines(chain: None) -> Lines:
    """An export of it."""
    return export()


def test_a_good_export_is_whole(lines: Lines) -> None:
    assert kinds(lines) == [
        "header",
        *["event"] * 3,
        "checkpoint",
        *["event"] * 4,
        "checkpoint",
        "footer",
    ]
    assert verify(lines, keys=keys()) == export_verifier.Report(7, 2, None)


def test_what_is_not_sealed_when_it_begins_is_left_out(chain: None) -> None:
    record(ORGANIZATION)
    extent = operations.begin_export(
        organization_id=ORGANIZATION, since=None, until=None, actor=SYSTEM, now=clock.now()
    )
    taken = Export(extent)
    pieces = taken.next()
    seal()

    while not taken.is_over:
        pieces += taken.next()

    assert verify(pieces.splitlines(keepends=True), keys=keys()).rows == 7


def test_an_empty_chain_is_exported_too(db: None) -> None:
    lines = export()

    assert kinds(lines) == ["header", "footer"]
    assert verdict(lines) == "whole"


def test_a_span_holds_every_row_of_its_time_and_joins(chain: None) -> None:
    events = list(AuditEvent.objects.order_by("position")[:7])

    lines = export(since=events[2].occurred_at, until=events[5].occurred_at)

    exported = [json.loads(line)["event"]["id"] for line in lines if b'"type":"event"' in line]
    assert exported == [str(event.pk) for event in events[2:5]]
    assert verdict(lines) == "whole"
    assert kinds(export(since=clock.now() + 60 * MINUTE)) == ["header", "footer"]


@pytest.mark.django_db(transaction=True)
def test_rows_of_the_first_format_are_checked_too(age: Callable[[], None]) -> None:
    record(ORGANIZATION)
    record(ORGANIZATION)
    seal()
    age()

    lines = export()

    assert verdict(lines) == "whole"
    for name, value in (("action", "x"), ("status", "denied"), ("details", {"ratio": 1})):
        assert verdict(changed(lines, 1, name, value)) == "altered"


def changed(lines: Lines, place: int, name: str, value: object) -> Lines:
    """A row with another value."""
    document = json.loads(lines[place])
    document["event"][name] = value
    return [*lines[:place], canonical(document) + b"\n", *lines[place + 1 :]]


@pytest.mark.parametrize(
    ("damage", "kind", "line"),
    [
        (lambda lines: changed(lines, 2, "action", "x"), "altered", 3),
        (lambda lines: changed(lines, 2, "previous_hash", "x"), "altered", 3),
        (lambda lines: changed(lines, 2, "organization_id", "x"), "altered", 3),
        (lambda lines: [*lines[:2], *lines[3:]], "missing", 3),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], "missing", 3),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "reordered", 4),
        (lambda lines: lines[1:], "malformed", 1),
        (lambda lines: [lines[0], *lines], "malformed", 2),
        (lambda lines: [*lines, lines[1]], "malformed", 12),
        (lambda lines: lines[:-1], "truncated", 11),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], "truncated", 11),
        (lambda lines: [*lines[:3], b'{"type":"interrupted","code":"x"}\n'], "truncated", 4),
        (lambda lines: [*lines[:8], lines[-1]], "missing", 9),
        (lambda lines: [*lines[:4], *lines[5:]], "altered", 10),
        (lambda lines: [*lines[:3], lines[4], *lines[3:]], "forged", 4),
        (lambda lines: [b"[" * 100_000 + b"\n", *lines[1:]], "malformed", 1),
        (lambda lines: [b"\xff\n", *lines[1:]], "malformed", 1),
        (lambda lines: lines[:0], "truncated", 1),
    ],
)
def test_damage_is_named(
    lines: Lines, damage: Callable[[Lines], Lines], kind: str, line: int
) -> None:
    fault = verify(damage(lines), keys=keys()).fault

    assert fault is not None
    assert (fault.kind, fault.line) == (kind, line)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_change_of_any_byte_or_line_passes(lines: Lines, data: st.DataObject) -> None:
    mutate = data.draw(st.sampled_from([_flip, _cut, _insert, _move, _value]))

    damaged = mutate(lines, data)

    assert b"".join(damaged) == b"".join(lines) or verdict(damaged) != "whole"


def _flip(lines: Lines, data: st.DataObject) -> Lines:
    whole = bytearray(b"".join(lines))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(whole).splitlines(keepends=True)


def _cut(lines: Lines, data: st.DataObject) -> Lines:
    whole = b"".join(lines)
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start + 1, len(whole)))
    return (whole[:start] + whole[end:]).splitlines(keepends=True)


def _insert(lines: Lines, data: st.DataObject) -> Lines:
    whole, more = b"".join(lines), data.draw(st.binary(min_size=1, max_size=20))
    place = data.draw(st.integers(0, len(whole)))
    return (whole[:place] + more + whole[place:]).splitlines(keepends=True)


def _move(lines: Lines, data: st.DataObject) -> Lines:
    return list(data.draw(st.permutations(lines)))


def _value(lines: Lines, data: st.DataObject) -> Lines:
    """One value of one document, and everything that can be computed without the key."""
    place = data.draw(st.integers(0, len(lines) - 1))
    document = json.loads(lines[place])
    inner = document.get("event") or document.get("checkpoint") or document.get("footer")
    inner = inner or document
    name = data.draw(st.sampled_from(sorted(inner)))
    inner[name] = data.draw(st.none() | st.booleans() | st.integers() | st.text(max_size=5))
    return rehashed([*lines[:place], canonical(document) + b"\n", *lines[place + 1 :]])


def rehashed(lines: Lines) -> Lines:
    """With new hashes throughout and a new digest, as a forger without the key would make them."""
    documents = [json.loads(line) for line in lines]
    tip = ""
    for document in documents:
        if document.get("type") == "event":
            document["event"]["previous_hash"] = tip
            tip = document["hash"] = export_verifier.digest(canonical(document["event"]))
        if document.get("type") == "checkpoint" and document["checkpoint"]:
            document["checkpoint"]["hash"] = tip
    written = [canonical(document) + b"\n" for document in documents[:-1]]
    footer = documents[-1]
    footer["footer"] |= {"last_hash": tip, "digest": export_verifier.digest(b"".join(written))}
    return [*written, canonical(footer) + b"\n"]


@pytest.mark.parametrize("place", [4, -1])
def test_another_keys_signature_is_forged(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    document = json.loads(lines[place])
    signed = document["checkpoint"] if place == 4 else document["footer"]
    good_keys = keys()
    with override_settings(SECRET_KEY="another secret key that is long enough"):
        document["signature"] = checkpoints.sign(signed)
        lines[place] = canonical(document) + b"\n"
        known = verify(lines, keys=[*good_keys, *keys()]).fault

    assert verdict(lines) == "forged"
    assert known is not None
    assert known.kind == "forged"


def test_a_key_that_was_not_given_is_asked_for(lines: Lines) -> None:
    fault = verify(lines, keys=[]).fault

    assert fault is not None
    assert (fault.kind, fault.line) == ("unknown_key", 1)
    assert checkpoints.current_key().key_id in fault.sentence


def test_a_chain_that_outlives_a_secret_needs_both_keys(chain: None) -> None:
    old = keys()
    with override_settings(SECRET_KEY="another secret key that is long enough"):
        record(ORGANIZATION, now=clock.now() + timedelta(hours=1))
        seal(now=clock.now() + timedelta(hours=1))
        lines = export()
        new = keys()
        known = [key.raw for key in checkpoints.list_keys()]

    assert known == [*new, *old]
    assert verify(lines, keys=known) == export_verifier.Report(8, 3, None)
    alone = verify(lines, keys=new).fault
    assert alone is not None
    assert alone.kind == "unknown_key"


@pytest.mark.parametrize("form", ["text", "file", "pem", "json"])
def test_keys_come_in_several_forms(db: None, tmp_path: Path, form: str) -> None:
    key = checkpoints.current_key()
    forms = {
        "file": key.text + "\n",
        "pem": key.pem,
        "json": json.dumps({"keys": [{"public_key": key.text}]}),
    }
    file = tmp_path / "key"
    file.write_text(forms.get(form, ""))

    assert read_keys(key.text if form == "text" else str(file)) == [key.raw]


def test_the_program_needs_neither_django_nor_the_hub(lines: Lines, tmp_path: Path) -> None:
    alone = tmp_path / "export_verifier.py"
    alone.write_text((repository() / "audit/export_verifier.py").read_text())
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    good.write_bytes(b"".join(lines))
    bad.write_bytes(b"".join(changed(lines, 1, "action", "x")))
    key = checkpoints.current_key().text

    assert run(alone, good, key) == (0, "whole: 7 rows, 2 checkpoints\n")
    assert run(alone, bad, key) == (
        1,
        "line 2: altered: Row 1 does not match its hash: it was altered.\n",
    )
    assert run(alone, good, "nonsense")[0] == 2
    assert run(alone, tmp_path / "nowhere", key)[0] == 2


def run(program: Path, *arguments: object) -> tuple[int, str]:
    """Its exit code and what it says, in an interpreter without this project."""
    done = subprocess.run(
        [sys.executable, str(program), *map(str, arguments)],
        cwd=program.parent,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_command_writes_what_the_program_reads(chain: None, tmp_path: Path) -> None:
    file, said, key = tmp_path / "export.jsonl", StringIO(), StringIO()

    call_command("export_audit", str(file), stdout=said)
    call_command("audit_public_key", stdout=key)

    assert said.getvalue() == "7 rows, 1 to 7.\n"
    assert run(repository() / "audit/export_verifier.py", file, key.getvalue().strip())[0] == 0
    with pytest.raises(CommandError, match="exists"):
        call_command("export_audit", str(file))
    record(UUID(int=8))
    seal()
    with pytest.raises(CommandError, match="--organization"):
        call_command("export_audit", str(tmp_path / "other"))
