"""Secrets are recognised in texts by what is known of them, which is not what they are."""

import base64
import html
import json
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kernel.fingerprints import Hasher, Index, Mark

HASHER: Final = Hasher(b"key", b"here")
SECRET: Final = "s3cr3t-Value_0815/abcDEF42"
PEM: Final = (
    "-----BEGIN KEY-----\nMIIBOgIBAAJBAKj34GkxFhD90vcN\nLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Q\n"
)
# What may stand beside a secret: nothing that could belong to its word.
BESIDE: Final = st.text(max_size=30).map(lambda text: f" {text} ")


def spans(text: str, *values: str, hasher: Hasher = HASHER) -> list[str]:
    """The secrets that are found in `text`."""
    found = Index(hasher, [mark for value in values for mark in hasher.marks_of(value)]).spans(text)
    return [text[start:end] for start, end in found]


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"The key is {SECRET}.",
        f"key={SECRET}&more=1",
        f"https://me:{SECRET}@example.com/",
        f'{{"key": "{SECRET}"}}',
        f"'{SECRET}'",
        f"Bearer\t{SECRET}\r\n",
        f"\u0161{SECRET}\u0161",
        rf"one line\n{SECRET}\nanother",
        rf"\u0020{SECRET}",
        f"a%20{SECRET}",
        f"prefix_{SECRET}_suffix",
    ],
)
def test_whatever_is_around_a_secret_it_is_found(text: str) -> None:
    assert spans(text, SECRET) == [SECRET]


@pytest.mark.parametrize(
    "written",
    [
        PEM.strip(),
        json.dumps(PEM.strip())[1:-1],
        quote(PEM.strip(), safe=""),
        base64.b64encode(PEM.strip().encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(PEM.strip().encode()).decode().rstrip("="),
    ],
)
def test_it_is_found_as_others_write_it(written: str) -> None:
    assert spans(f"It says {written} there.", PEM) == [written]


ODD: Final = 'p@ss/w"ord\\ü+9zz4711'


@pytest.mark.parametrize(
    "written",
    [
        quote(ODD),
        quote(ODD, safe="").lower(),
        json.dumps(json.dumps(ODD)[1:-1])[1:-1],
        json.dumps(json.dumps(ODD, ensure_ascii=False)[1:-1], ensure_ascii=False)[1:-1],
        html.escape(ODD),
    ],
)
def test_odd_signs_are_found_however_they_are_escaped(written: str) -> None:
    assert spans(f"It says {written} there.", ODD) == [written]


def test_several_secrets_are_found_and_those_that_overlap_are_one() -> None:
    inner, outer = "inner-0815-4711", "outer inner-0815-4711 outer"

    found = spans(f"{SECRET}, {outer}; {SECRET}", inner, outer, SECRET)

    assert found == [SECRET, outer, SECRET]


@pytest.mark.parametrize(
    "other", [SECRET[:-1], SECRET[1:], SECRET.lower(), SECRET.replace("-", "_"), "abcDEF42"]
)
def test_what_is_not_all_of_it_is_not_it(other: str) -> None:
    assert spans(f"Not {other} here", SECRET) == []


@pytest.mark.parametrize(
    "value", ["", "short12", "password", "passwordforall", "01234567890", "        "]
)
def test_what_is_in_every_text_is_not_looked_for(value: str) -> None:
    assert HASHER.marks_of(value) == []


def test_an_anchor_of_other_letters_is_one_too() -> None:
    value = "пароль-ключ"

    assert spans(f"Это {value}, да", value) == [value]


def test_marks_differ_by_scope_and_key_and_do_not_have_the_value() -> None:
    made = [Hasher(b"key", b"here"), Hasher(b"key", b"there"), Hasher(b"other", b"here")]

    wholes = {hasher.marks_of(SECRET)[0].whole for hasher in made}

    assert len(wholes) == 3
    assert SECRET not in json.dumps([mark.dump() for mark in HASHER.marks_of(SECRET)])


@pytest.mark.parametrize("value", [SECRET, PEM, "пароль-ключ"])
def test_marks_are_the_same_when_they_were_stored(value: str) -> None:
    marks = HASHER.marks_of(value)

    assert [Mark.load(json.loads(json.dumps(mark.dump()))) for mark in marks] == marks


@hypothesis_settings(max_examples=150, deadline=None)
@given(value=st.text(min_size=8, max_size=60), before=BESIDE, after=BESIDE)
@example(value="\\n00000000", before=" ", after=" ")
@example(value="%0000000", before=" ", after=" ")
def test_any_value_that_tells_something_is_found_in_any_text(
    value: str, before: str, after: str
) -> None:
    value = value.strip()
    is_known = bool(HASHER.marks_of(value))

    found = spans(f"{before}{value}{after}", value)

    assert not is_known or any(value in span for span in found)


@hypothesis_settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200))
def test_nothing_is_found_where_nothing_is(text: str) -> None:
    assert spans(text, SECRET) == []


def test_a_long_text_is_read_once() -> None:
    """What would grow with the square of the text would not come back here."""
    text = f"{'word ' * 100_000}{'a' * 500_000} {SECRET}"

    assert spans(text, SECRET, PEM) == [SECRET]
