"""Cutting documents: nothing is lost or doubled, passages are bounded, headings are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.operations.chunking import (
    MAX_CHARACTERS,
    TARGET_CHARACTERS,
    Chunk,
    chunk,
    first_heading,
)

LINES = st.one_of(
    st.sampled_from(["", "   ", "```", "~~~~", "```python", "---", "===", "- item", "    code"]),
    st.builds("{} {}".format, st.sampled_from(["#", "##", "####"]), st.text("abc #", max_size=220)),
    st.builds(
        lambda word, times: " ".join([word] * times),
        st.text("aé.", min_size=1),
        st.integers(1, 400),
    ),
    st.text(max_size=60),
    st.integers(1, 6000).map("x".__mul__),
    st.integers(1, 6000).map(lambda count: " " * count + "x"),
    st.builds(lambda sign, count: sign * count, st.sampled_from(" =-#`"), st.integers(1, 6000)),
)
DOCUMENTS = st.lists(LINES, max_size=40).map("\n".join)


def prose(words: int) -> str:
    return " ".join(f"word{number}" for number in range(words))


@given(content=DOCUMENTS, markdown=st.booleans())
def test_no_character_is_lost_or_doubled(content: str, *, markdown: bool) -> None:
    chunks = chunk(content, markdown=markdown)

    assert "".join("".join(c.text.split()) for c in chunks) == "".join(content.split())


@given(content=DOCUMENTS, markdown=st.booleans())
def test_passages_are_bounded_and_never_blank(content: str, *, markdown: bool) -> None:
    chunks = chunk(content, markdown=markdown)

    assert all(c.text.strip() and len(c.text) <= MAX_CHARACTERS for c in chunks)


@given(st.lists(st.text("abcdé", min_size=1, max_size=TARGET_CHARACTERS), max_size=400))
def test_words_stay_whole(words: list[str]) -> None:
    chunks = chunk(" ".join(words), markdown=True)

    assert " ".join(c.text for c in chunks).split() == words
    assert all(len(c.text) <= TARGET_CHARACTERS for c in chunks)


@given(st.integers(1, 200_000))
def test_a_single_endless_word_is_cut(length: int) -> None:
    chunks = chunk("x" * length, markdown=True)

    assert [len(c.text) for c in chunks[:-1]] == [TARGET_CHARACTERS] * (len(chunks) - 1)


def test_headings_begin_a_passage_and_name_those_above() -> None:
    content = "# Hub\n\nIntro.\n\n## Tasks ##\n\nOne.\n\n### Leases\n\nTwo.\n\n## Audit\n\nThree."

    chunks = chunk(content, markdown=True)

    assert chunks == [
        Chunk("Hub", "# Hub\n\nIntro."),
        Chunk("Hub > Tasks", "## Tasks ##\n\nOne."),
        Chunk("Hub > Tasks > Leases", "### Leases\n\nTwo."),
        Chunk("Hub > Audit", "## Audit\n\nThree."),
    ]


def test_a_heading_with_nothing_under_it_goes_before_the_next() -> None:
    chunks = chunk("# Hub\n\n## Tasks\n\nOne.\n\n## Later", markdown=True)

    assert chunks == [
        Chunk("Hub > Tasks", "# Hub\n\n## Tasks\n\nOne."),
        Chunk("Hub > Later", "## Later"),
    ]


@pytest.mark.parametrize(
    ("body", "limit"),
    [(prose(400), TARGET_CHARACTERS), ("```\n" + "x\n" * 1196 + "```", MAX_CHARACTERS)],
    ids=["prose", "code"],
)
def test_a_heading_takes_its_room_from_what_follows(body: str, limit: int) -> None:
    chunks = chunk(f"# {'h' * 100}\n\n{body}", markdown=True)

    assert len(body) > limit - 100
    assert chunks[0].text.startswith(f"# {'h' * 100}\n\n")
    assert limit - 20 < len(chunks[0].text) <= limit
    assert all(len(c.text) <= limit for c in chunks)


def test_underlined_headings_are_headings() -> None:
    chunks = chunk("Hub\n===\n\nIntro.\n\nTasks\n-----\nOne.", markdown=True)

    assert [c.heading for c in chunks] == ["Hub", "Hub > Tasks"]


@pytest.mark.parametrize(
    "content",
    [
        "#hashtag",
        "# " + "long " * 60,
        "Some prose\nover two lines\n---",
        "---\ntitle: front matter\n---",
        "```\n# a comment\n```",
        "    # indented code",
        "####### seven",
        "Title\n" + "=" * 201,
    ],
)
def test_what_only_looks_like_a_heading_is_none(content: str) -> None:
    chunks = chunk(content, markdown=True)

    assert [c.heading for c in chunks] == [""]
    assert first_heading(content) == ""


def test_plain_text_has_no_headings() -> None:
    assert chunk("# one\n\ntwo", markdown=False) == [Chunk("", "# one\n\ntwo")]


def test_paragraphs_are_gathered_up_to_the_target() -> None:
    paragraph = prose(60)

    chunks = chunk("\n\n".join([paragraph] * 4), markdown=True)

    assert [c.text for c in chunks] == [f"{paragraph}\n\n{paragraph}"] * 2
    assert 2 * len(paragraph) < TARGET_CHARACTERS < 3 * len(paragraph)


def test_a_long_paragraph_is_cut_behind_a_sentence() -> None:
    sentence = "This sentence has exactly forty characters. "

    chunks = chunk(sentence * 50, markdown=True)

    assert all(c.text.endswith("characters.") for c in chunks)


def test_a_long_line_is_not_left_for_a_short_one_before_it() -> None:
    chunks = chunk(f"Short.\n{prose(300)}", markdown=True)

    assert chunks[0].text.startswith("Short.\nword0 word1 ")
    assert all(len(c.text) > TARGET_CHARACTERS - 10 for c in chunks[:-1])


def test_fenced_code_stays_whole_up_to_the_maximum() -> None:
    code = "```\n" + "\n".join(f"line {n}" for n in range(200)) + "\n```"

    chunks = chunk(f"# Code\n\n{code}\n\nAfter.", markdown=True)

    assert TARGET_CHARACTERS < len(code) < MAX_CHARACTERS
    assert [c.text for c in chunks] == [f"# Code\n\n{code}", "After."]


def test_longer_code_is_cut_behind_a_line() -> None:
    lines = [f"    line {n}" for n in range(600)]

    chunks = chunk("```\n" + "\n".join(lines) + "\n```", markdown=True)

    assert [line for c in chunks for line in c.text.split("\n")] == ["```", *lines, "```"]


def test_code_that_is_never_closed_runs_to_the_end() -> None:
    assert chunk("```\n# one\n\n# two", markdown=True) == [Chunk("", "```\n# one\n\n# two")]


def test_the_first_heading_titles_the_document() -> None:
    assert first_heading("Intro.\n\n## Tasks\n\n# Hub") == "Tasks"
