"""What the hub knows to be secret is taken out of texts, whole or in pieces."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kernel import redaction
from kernel.fingerprints import Hasher, Index, Mark
from kernel.redaction import REDACTED, Live, Redactor, SecretInText

SECRET: Final = "s3cr3t-Value_0815/abcDEF42"
PHRASE: Final = "correct horse battery staple 7"
NUMBER: Final = 481516234299
PEM: Final = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeK\n"
    "-----END RSA PRIVATE KEY-----"
)


def redactor(*values: str) -> Redactor:
    """One that knows `values`."""
    organization_id = uuid4()
    hasher = redaction.hasher_of(organization_id)
    marks = [mark for value in values for mark in hasher.marks_of(value)]
    return Redactor(organization_id, Index(hasher, marks))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Values that every organization has; changed behind everybody's back."""
    values = [SECRET, str(NUMBER)]

    def source(_organization_id: UUID, hasher: Hasher) -> Iterator[Mark]:
        for value in values:
            yield from hasher.marks_of(value)

    monkeypatch.setattr(redaction, "SOURCES", [source])
    return values


def test_secrets_are_taken_out_of_whatever_json_holds_them() -> None:
    value = {
        SECRET: [f"a {SECRET} b", {"deep": (SECRET, 1.5, None, True, 7)}],
        "number": NUMBER,
        "text": "nothing",
    }

    shown = redactor(SECRET, str(NUMBER)).redact(value)

    assert shown == {
        REDACTED: [f"a {REDACTED} b", {"deep": [REDACTED, 1.5, None, True, 7]}],
        "number": REDACTED,
        "text": "nothing",
    }


@pytest.mark.parametrize(
    "shape",
    [
        "sk-proj-" + "a1B2" * 8,
        "ghp_" + "a1B2c3" * 6,
        "github_pat_" + "a1B2c3_" * 6,
        "glpat-" + "a1-B2c3" * 4,
        "xoxb-" + "1234567890-" * 2 + "ab",
        "AKIA" + "ABCD2345" * 2,
        "AIza" + "a1B2c_-" * 5,
        "ahk_" + "a1B2c_-" * 6,
        PEM,
        PEM.replace("\n", "\\n"),
    ],
)
def test_keys_of_well_known_makers_need_not_be_known(shape: str) -> None:
    assert redactor().redact(f'It is "{shape}", keep it.') == f'It is "{REDACTED}", keep it.'


@pytest.mark.parametrize(
    "text",
    [
        "task-scheduling-with-very-long-names-0815-and-more",
        "sk-learn-is-a-library-of-python-for-learning",
        "AKIAlike names are fine",
        "A file begins with -----BEGIN PRIVATE KEY----- and then has the key. That is all.",
        "-----BEGIN CERTIFICATE-----\nMIIBOgIBAAJBAKj34GkxFhD9\n-----END CERTIFICATE-----",
    ],
)
def test_what_only_begins_like_a_key_stays(text: str) -> None:
    assert redactor().redact(text) == text


def test_many_beginnings_of_keys_are_read_once() -> None:
    text = "-----BEGIN PRIVATE KEY-----\n" + "QUJD" * 4
    shown = redactor().redact(text * 20_000)

    assert "QUJD" not in shown


@pytest.mark.parametrize("size", [1, 3, 7, 1_000])
@pytest.mark.parametrize(
    "text",
    [
        f"I found {SECRET} there, and user:{SECRET}@host too.",
        f"They say {PHRASE} and\n\n{PHRASE} again",
        f"The key:\n{PEM}\nThat was it.",
        "Nothing of that kind.  Two spaces. ",
        f"{'x' * 700}{SECRET}",
        f"{'x,' * 700}{SECRET},{'y,' * 700} and on",
    ],
)
def test_live_texts_show_in_the_end_what_the_whole_one_shows(text: str, size: int) -> None:
    known = redactor(SECRET, PHRASE)
    live = Live(known)

    pieces = [live.push(text[at : at + size]) for at in range(0, len(text), size)]
    shown = "".join([*pieces, live.flush()])

    assert shown == known.redact(text)
    assert live.flush() == ""


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    words=st.lists(st.sampled_from([SECRET, PHRASE, "word", "\n", "=", '"', "correct"])),
    sizes=st.lists(st.integers(1, 40), min_size=1),
)
def test_no_piece_of_a_live_text_has_a_secret(words: list[str], sizes: list[int]) -> None:
    text, live = " ".join(words), Live(redactor(SECRET, PHRASE))
    shown, at = "", 0

    for number in range(len(text)):
        size = sizes[number % len(sizes)]
        shown += live.push(text[at : at + size])
        at += size
    shown += live.flush()

    assert SECRET not in shown
    assert PHRASE not in shown
    assert shown.replace(REDACTED, "") == text.replace(SECRET, "").replace(PHRASE, "")


def test_a_live_text_is_given_on_word_by_word() -> None:
    live = Live(redactor(SECRET))

    pieces = [live.push(piece) for piece in ("Hel", "lo wor", "ld, ", "bye")]

    assert [*pieces, live.flush()] == ["", "Hello ", "world, ", "", "bye"]


def test_very_long_secrets_of_several_words_wait_for_the_whole_text() -> None:
    long = "word0815 " * 600
    live = Live(redactor(long))

    assert live.push("Hello world, bye") == ""
    assert live.flush() == "Hello world, bye"


def test_a_refusal_names_every_field_and_no_value(db: None, told: list[str]) -> None:
    sent: dict[str, Any] = {
        "title": "fine",
        "description": f"use {SECRET}",
        "metadata": {"keys": ["fine", NUMBER], SECRET: {"inner": SECRET}},
    }

    with pytest.raises(SecretInText) as refusal:
        redaction.check(uuid4(), sent)

    assert [field["field"] for field in refusal.value.fields] == [
        "description",
        "metadata.keys.1",
        "metadata",
        f"metadata.{REDACTED}.inner",
    ]
    assert SECRET not in str(refusal.value.fields)


def test_what_is_remembered_holds_until_somebody_says_otherwise(
    db: None, told: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    organization_id, added = uuid4(), "another-s3cret-0815"
    redaction.check(organization_id, {"text": added})

    told.append(added)
    redaction.check(organization_id, {"text": added})
    with django_capture_on_commit_callbacks(execute=True):
        redaction.forget(organization_id=organization_id)

    with pytest.raises(SecretInText):
        redaction.check(organization_id, {"text": added})


def test_another_process_hears_of_it_by_the_stamp(
    db: None, told: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    organization_id, added = uuid4(), "another-s3cret-0815"
    known = redaction.load(organization_id)
    remembered = redaction._memory[organization_id]

    told.append(added)
    with django_capture_on_commit_callbacks(execute=True):
        redaction.forget(organization_id=organization_id)
    redaction._memory[organization_id] = remembered  # as that process has it
    redaction.load(organization_id)

    assert known.redact(added) == REDACTED


def test_the_log_masks_what_was_opened_and_nothing_of_another_process() -> None:
    value = f"opened-{uuid4()}"
    assert redaction.mask_opened(f"key={value}") == f"key={value}"

    redaction.note_opened(value)

    assert redaction.mask_opened(f"key={value}") == f"key={REDACTED}"


def test_the_log_forgets_what_was_opened_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "MOST_OPENED", 20)

    for _ in range(100):
        redaction.note_opened(f"opened-{uuid4()}")

    assert len(redaction._opened) == 20
