"""Checks an export of the audit chain, offline: is every row there, in its order, as it was sealed?

    python -m audit.export_verifier EXPORT KEY [KEY ...]

EXPORT is the file, KEY the hub's public key as `GET /api/v1/audit-events/public-key` or
`manage.py audit_public_key` gives it: a file, or the 44 characters themselves. It ends with 0 if
all is well and with 1 at the first thing that is not. It needs Python, `cryptography` and this
file, which may be copied elsewhere. The hub takes from here what it hashes and signs, so that they
agree.

The file has a JSON document a line: a header, the rows with the checkpoints behind those that they
attest, a footer. docs/audit.md describes them.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FORMAT: Final = "agent-hub-audit-export-1"
KEY_BYTES: Final = 32
FIRST_COLUMNS: Final = (
    *("previous_hash", "position", "id", "organization_id", "occurred_at"),
    *("actor_type", "actor_id", "actor_label", "action"),
    *("resource_type", "resource_id", "details", "ip_address", "request_id"),
)
# What a line can hold that no export holds: it is refused like any other damage.
UNREADABLE: Final = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong: its kind, the line (from 1), a sentence.

    Kinds: malformed, altered, missing, reordered, truncated, forged, unknown_key.
    """

    kind: str
    line: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    """How many rows and checkpoints were found good, and the first fault."""

    rows: int
    checkpoints: int
    fault: Fault | None


class _Wrong(Exception):
    """A fault, on its way to the line that it is in."""

    def __init__(self, kind: str, sentence: str) -> None:
        self.kind, self.sentence = kind, sentence
        super().__init__(sentence)


def canonical(document: Any) -> bytes:
    """The one way to write a document: sorted keys, no blanks, UTF-8. What is hashed and signed."""
    text = json.dumps(
        document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return text.encode()


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def key_id_of(public_key: bytes) -> str:
    """The short name of a public key."""
    return digest(public_key)[:16]


def has_signed(*, public_key: bytes, signature: str, document: Mapping[str, Any]) -> bool:
    """Whether `signature` (base64) is the key's over the canonical `document`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            base64.b64decode(signature, validate=True), canonical(document)
        )
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def verify(lines: Iterable[bytes], *, keys: Collection[bytes]) -> Report:
    """The verdict about an export, read line by line; `keys` are raw public keys (32 bytes)."""
    check = _Check({key_id_of(key): key for key in keys})
    number = 0
    for number, line in enumerate(lines, start=1):
        try:
            check.take(line)
        except _Wrong as wrong:
            return check.report(Fault(wrong.kind, number, wrong.sentence))
        except UNREADABLE:
            return check.report(Fault("malformed", number, f"Line {number} cannot be read."))
    if not check.is_over:
        fault = Fault("truncated", number + 1, "The export ends before its footer.")
        return check.report(fault)
    return check.report(None)


@dataclass(slots=True)
class _Check:
    """What was read so far."""

    keys: Mapping[str, bytes]
    rows: int = 0
    checkpoints: int = 0
    is_over: bool = False
    _header: dict[str, Any] = field(default_factory=dict)
    _expected: int = 0
    _tip: str = ""
    _bytes: Any = field(default_factory=hashlib.sha256)

    def take(self, line: bytes) -> None:
        """The next line; raises _Wrong, or one of UNREADABLE."""
        if self.is_over:
            raise _Wrong("malformed", "Something follows the footer.")
        if not line.endswith(b"\n"):
            raise _Wrong("truncated", "The last line is not whole.")
        document = json.loads(line)
        kind = document["type"]
        if (kind == "header") is bool(self._header):
            raise _Wrong("malformed", "The header must be the first line, and only that.")
        if kind not in self._takers():
            raise _Wrong("malformed", f"A line of the type {kind} is not expected here.")
        self._takers()[kind](document)
        self._bytes.update(line)

    def _takers(self) -> Mapping[str, Callable[[dict[str, Any]], None]]:
        return {
            "header": self._take_header,
            "event": self._take_event,
            "checkpoint": self._take_checkpoint,
            "footer": self._take_footer,
            "interrupted": self._take_interruption,
        }

    def report(self, fault: Fault | None) -> Report:
        """What came of it."""
        return Report(self.rows, self.checkpoints, fault)

    def _take_header(self, document: dict[str, Any]) -> None:
        if document["format"] != FORMAT:
            raise _Wrong("malformed", f"This is no export of the format {FORMAT}.")
        self._key(document["key_id"])
        self._header = document
        self._expected = int(document["first"])
        self._tip = str(document["previous_hash"])
        if self._expected == 1 and self._tip:
            raise _Wrong("altered", "The first row of a chain follows no other.")

    def _take_event(self, document: dict[str, Any]) -> None:
        event, position = document["event"], document["event"]["position"]
        if position != self._expected:
            kind = "missing" if position > self._expected else "reordered"
            raise _Wrong(kind, f"Row {self._expected} is missing; row {position} is in its place.")
        if position > self._header["last"]:
            raise _Wrong("altered", f"Row {position} is beyond what the header announces.")
        if event["organization_id"] != self._header["organization_id"]:
            raise _Wrong("altered", f"Row {position} belongs to another organization.")
        if event["previous_hash"] != self._tip:
            raise _Wrong("altered", f"Row {position} does not follow the row before it.")
        if document["hash"] != digest(_content(document)):
            raise _Wrong("altered", f"Row {position} does not match its hash: it was altered.")
        self._tip = document["hash"]
        self._expected += 1
        self.rows += 1

    def _take_checkpoint(self, document: dict[str, Any]) -> None:
        checkpoint = document["checkpoint"]
        position = checkpoint["position"]
        self._signed(document, checkpoint, f"The checkpoint at {position}")
        if checkpoint["organization_id"] != self._header["organization_id"]:
            raise _Wrong("forged", f"The checkpoint at {position} is another organization's.")
        if (position, checkpoint["hash"]) != (self._expected - 1, self._tip):
            raise _Wrong("forged", f"The checkpoint at {position} is not of this chain.")
        self.checkpoints += 1

    def _take_footer(self, document: dict[str, Any]) -> None:
        footer = document["footer"]
        if self._expected != self._header["last"] + 1:
            raise _Wrong("missing", f"Row {self._expected} is missing: the rows end before it.")
        self._signed(document, footer, "The footer")
        found = (self.rows, self.checkpoints, self._tip, self._bytes.hexdigest())
        told = (footer["rows"], footer["checkpoints"], footer["last_hash"], footer["digest"])
        if found != told:
            raise _Wrong("altered", "The lines are not those that were signed in the footer.")
        self.is_over = True

    def _take_interruption(self, document: dict[str, Any]) -> None:
        raise _Wrong("truncated", f"The hub broke the export off: {document['code']}.")

    def _signed(self, document: Mapping[str, Any], signed: Mapping[str, Any], what: str) -> None:
        key = self._key(signed["key_id"])
        if not has_signed(public_key=key, signature=document["signature"], document=signed):
            raise _Wrong("forged", f"{what} was not signed by the key {signed['key_id']}.")

    def _key(self, key_id: str) -> bytes:
        if key_id not in self.keys:
            sentence = f"It is signed by the key {key_id}, which was not given. Give it too."
            raise _Wrong("unknown_key", sentence)
        return self.keys[key_id]


def _content(document: Mapping[str, Any]) -> bytes:
    """What the row's hash is over."""
    event = document["event"]
    if event["version"] != 1:
        return canonical(event)
    # The first format hashed a list, as another writer of JSON writes it: it comes along as text.
    text: str = document["content"]
    if canonical(json.loads(text)) != canonical(first_content(event)) or not _is_plain(event):
        raise _Wrong("altered", f"Row {event['position']} differs from what was hashed.")
    return text.encode()


def _is_plain(event: Mapping[str, Any]) -> bool:
    """The first format knew no status."""
    return bool(event["status"] == "success")


def first_content(event: Mapping[str, Any]) -> list[Any]:
    """What rows of the first format were hashed over."""
    return [event[name] for name in FIRST_COLUMNS]


def read_keys(given: str) -> list[bytes]:
    """The keys in a file or in the argument itself: base64, PEM, or the API's JSON answer.

    Raises ValueError for anything else.
    """
    path = Path(given)
    text = (path.read_text() if len(given) < 1000 and path.is_file() else given).strip()
    if text.startswith("{"):
        return [_raw(key["public_key"]) for key in json.loads(text)["keys"]]
    if text.startswith("-----BEGIN"):
        key = load_pem_public_key(text.encode())
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("The key is no Ed25519 key.")
        return [key.public_bytes_raw()]
    return [_raw(text)]


def _raw(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError("A public key has 32 bytes.")
    return key


def main(arguments: Sequence[str]) -> int:
    """Verify as asked on the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="export_verifier", description="Check an audit export.")
    parser.add_argument("export", type=Path)
    parser.add_argument("keys", nargs="+", metavar="KEY")
    asked = parser.parse_args(arguments)
    try:
        keys = [key for given in asked.keys for key in read_keys(given)]
        with asked.export.open("rb") as lines:
            report = verify(lines, keys=keys)
    except (OSError, *UNREADABLE) as error:
        sys.stderr.write(f"Export or key cannot be read: {error}\n")
        return 2
    if report.fault:
        fault = report.fault
        sys.stdout.write(f"line {fault.line}: {fault.kind}: {fault.sentence}\n")
        return 1
    sys.stdout.write(f"whole: {report.rows} rows, {report.checkpoints} checkpoints\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
