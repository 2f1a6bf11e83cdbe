"""PDF as Markdown: what the eye sees as headings, paragraphs and pages, and files that hold no text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.text.pdf import pdf_to_markdown
from metier.text.unreadable import UnreadableDocument
from tests.fixtures.office_files import encrypted, pdf_of

PAGE = [("Leave", 20), "A leave lasts thirty days in a year.", "It is paid.", "", "A second paragraph stands here."]


def markdown(*pages: object, **more: object) -> str:
    return pdf_to_markdown(pdf_of(*pages, **more))[0]


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableDocument) as fault:
        pdf_to_markdown(data)
    assert fault.value.evidence
    return fault.value.reason


def test_larger_letters_are_headings_and_gaps_end_paragraphs():
    lines = [
        ("The rules", 20),
        "They hold for all.",
        ("Leave", 14),
        "It lasts thirty days",
        "in a year.",
        "",
        "It is paid.",
    ]
    assert markdown(lines) == (
        "# The rules\n\nThey hold for all.\n\n## Leave\n\nIt lasts thirty days\nin a year.\n\nIt is paid."
    )


def test_a_form_feed_stands_where_a_page_ends_and_a_page_without_text_counts():
    assert markdown(["First page."], [], ["Third page."]) == "First page.\n\n\f\n\n\n\n\f\n\nThird page."


def test_a_sentence_that_goes_on_overleaf_stays_on_its_page():
    text = markdown(["It begins here and"], ["goes on there. The next one.", "", "And more."])
    assert text == "It begins here and\ngoes on there.\n\n\f\n\nThe next one.\n\nAnd more."
    assert markdown(["It ends here."], ["so it is."]).split("\f")[1].strip() == "so it is."


def test_words_that_a_line_divides_are_joined_but_for_those_with_a_hyphen_of_their_own():
    text = markdown(
        ["The para-", "graph of a self-", "service shop, where self-service", "is the Anglo-", "Saxon way."]
    )
    assert "The paragraph of a self-service shop" in text
    assert "Anglo-Saxon" in text


def test_running_titles_page_numbers_and_the_table_of_contents_go():
    pages = [
        ["The handbook of Acme", f"Text number {word} stands here.", f"Page {number} of 4", f"{number}"]
        for number, word in enumerate(("one", "two", "three", "four"), 1)
    ]
    contents = ["Leave . . . . . . . . . 12", "Pay ........... 14", "Read this first."]
    text = markdown(*pages, contents)
    assert [page.strip() for page in text.split("\f")] == [
        "Text number one stands here.",
        "Text number two stands here.",
        "Text number three stands here.",
        "Text number four stands here.",
        "Read this first.",
    ]


def test_headings_that_differ_in_their_number_alone_are_no_running_titles():
    pages = [[(f"Chapter {n}", 20), f"What chapter {word} says."] for n, word in enumerate(("one", "two", "three"), 1)]
    assert markdown(*pages).count("# Chapter") == 3


def test_list_items_stand_apart():
    lines = ["What you need:", "• a form that is", "filled in", "• a pen", "1. Write.", "2. Sign."]
    assert markdown(lines) == "What you need:\n\n- a form that is\nfilled in\n\n- a pen\n\n1. Write.\n\n2. Sign."


def test_text_that_looks_like_a_heading_of_markdown_is_none():
    assert markdown(["# 5 is the number of the room."]) == "\\# 5 is the number of the room."


def test_the_files_title_counts_where_the_first_page_says_it_too():
    assert pdf_to_markdown(pdf_of(PAGE, title="Leave"))[1] == {"title": "Leave"}
    assert pdf_to_markdown(pdf_of(PAGE, title="Microsoft Word - draft7.doc"))[1] == {}


def test_a_pdf_that_anybody_can_open_is_read_and_one_behind_a_password_is_not():
    assert pdf_to_markdown(encrypted(pdf_of(PAGE), ""))[0] == markdown(PAGE)
    assert reason(encrypted(pdf_of(PAGE), "secret")) == "encrypted"


def test_pictures_of_text_are_told_from_a_page_without_any():
    assert reason(pdf_of([], [], picture=True)) == "scanned"
    assert markdown([]).strip() == ""


@pytest.mark.parametrize("cut", [0, 5, 100, 0.5, 0.9])
def test_a_file_that_is_cut_short_or_none_at_all_is_corrupt_or_still_read(cut):
    whole = pdf_of(PAGE)
    data = whole[: int(cut * len(whole)) if isinstance(cut, float) else cut]
    try:
        assert "Leave" in pdf_to_markdown(data)[0]
    except UnreadableDocument as fault:
        assert fault.reason in ("corrupt", "scanned")  # noqa: PT017 (either is right, nothing else is)


def test_what_only_calls_itself_a_pdf_is_corrupt():
    assert reason(b"%PDF") == "corrupt"
    assert reason(b"a letter to the bank") == "corrupt"


WHOLE = pdf_of(PAGE)


@given(at=st.integers(0, len(WHOLE) - 1), bytes_=st.binary(min_size=1, max_size=20))
def test_a_damaged_file_is_read_or_refused_and_never_stops_a_run(at, bytes_):
    try:
        assert isinstance(pdf_to_markdown(WHOLE[:at] + bytes_ + WHOLE[at + len(bytes_) :])[0], str)
    except UnreadableDocument as fault:
        assert fault.reason in ("corrupt", "encrypted", "scanned")  # noqa: PT017 (either outcome is right)
