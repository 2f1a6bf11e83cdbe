"""Files as documents, and files that are none."""

import codecs

import docx
import pytest

from metier.text import parsing
from metier.text.parsing import SUFFIXES, parse
from metier.text.unreadable import UnreadableDocument
from tests.fixtures.office_files import pdf_of, saved


def reason(data: bytes, uri: str) -> str:
    with pytest.raises(UnreadableDocument) as fault:
        parse(data, uri)
    assert fault.value.evidence
    return fault.value.reason


def test_markdown_with_front_matter():
    text = (
        b"---\ntitle: Leave\neffective: 2025-03-01\nsuperseded: '2026-01-01'\nversion: 2\n---\n# Other\n\nText here.\n"
    )
    document = parse(text, "hr/leave.md")
    assert (document.uri, document.title, document.version) == ("hr/leave.md", "Leave", "2")
    assert (document.effective, document.superseded) == ("2025-03-01", "2026-01-01")
    assert document.text == "# Other\n\nText here.\n"


def test_a_rule_at_the_top_is_not_front_matter():
    document = parse(b"---\njust words\n---\n# Head\n", "a.md")
    assert document.title == "Head"
    assert "just words" in document.text


def test_the_title_is_the_heading_or_a_short_first_line_or_the_name():
    assert parse(b"# Head\nx", "a.md").title == "Head"
    assert parse(b"A short line\n\nmore text", "a.txt").title == "A short line"
    assert parse(b"This is a whole sentence that ends.\nmore", "sick_pay-rules.txt").title == "sick pay rules"


def test_html_loses_what_is_not_content_and_keeps_structure():
    page = b"""<html><head><title>Fees</title><meta name="effective" content="2025-01-31">
    <script>var x = 1</script></head><body><nav>Home</nav><main><h1>Fees</h1>
    <p>A <b>fee</b> is <code>5</code>.<!-- hidden --></p><ul><li>one</li><li>two</li></ul>
    <pre>a = 1
b = 2</pre><table><tr><th>k</th><th>v</th></tr><tr><td>x</td><td>1</td></tr></table></main>
    <footer>Imprint</footer></body></html>"""
    document = parse(page, "fees.html")
    assert document.title == "Fees"
    assert document.effective == "2025-01-31"
    assert "# Fees\n\nA fee is `5`." in document.text
    assert "- one\n- two" in document.text
    assert "```\na = 1\nb = 2\n```" in document.text
    assert "| k | v |\n| --- | --- |\n| x | 1 |" in document.text
    for gone in ("Home", "Imprint", "var x", "hidden"):
        assert gone not in document.text


def test_encodings_that_a_file_declares_are_read():
    assert "Gebühr" in parse("Gebühr fällig\n".encode("utf-16"), "a.txt").text
    assert parse(codecs.BOM_UTF8 + b"# Head", "a.md").title == "Head"
    latin = '<meta charset="iso-8859-1"><p>Gebühr</p>'.encode("latin-1")
    assert "Gebühr" in parse(latin, "a.html").text


def test_what_is_no_document_says_why():
    assert reason(b"", "a.md") == "empty"
    assert reason(b"<html><script>x</script></html>", "a.html") == "empty"
    assert reason("Gebühr".encode("latin-1"), "a.txt") == "encoding"
    assert reason(bytes(range(256)) * 4, "a.txt") == "binary"
    assert reason(b"\x00\x01\x02 plain ascii" * 9, "a.md") == "binary"
    assert reason(b"PK", "a.xlsx") == "unsupported_format"
    assert reason(b"%PDF-1.7", "a.pdf") == "corrupt"
    assert reason("Gebühr".encode("latin-1"), "a.csv") == "encoding"
    assert reason(b"a,b\n", "a.csv") == "empty"
    assert reason(b":effective: soon\n\nText", "a.rst") == "bad_date"
    assert reason(b"---\neffective: soon\n---\nText", "a.md") == "bad_date"


def test_line_ends_and_marks_do_not_matter():
    assert parse(b"# A\r\n\r\ntext\r\n", "a.md").text == parse(b"# A\n\ntext\n", "a.md").text


def test_every_format_gives_title_and_text():
    word = docx.Document()
    word.add_heading("Leave", 1)
    word.add_paragraph("It lasts 30 days.")
    files = {
        ".md": b"# Leave\n\nIt lasts 30 days.",
        ".markdown": b"# Leave\n\nIt lasts 30 days.",
        ".html": b"<h1>Leave</h1><p>It lasts 30 days.</p>",
        ".htm": b"<h1>Leave</h1><p>It lasts 30 days.</p>",
        ".txt": b"# Leave\n\nIt lasts 30 days.",
        ".rst": b"Leave\n=====\n\nIt lasts 30 days.\n",
        ".docx": saved(word),
        ".pdf": pdf_of([("Leave", 20), "It lasts 30 days."]),
    }
    assert {*files, ".csv"} == set(SUFFIXES)
    for suffix, data in files.items():
        document = parse(data, "some/file" + suffix.upper())
        assert (document.title, document.text) == ("Leave", "# Leave\n\nIt lasts 30 days.\n")


def test_a_table_has_the_name_of_its_file():
    document = parse(b"grade,days\nA,30\n", "hr/sick_pay.csv")
    assert (document.title, document.text) == ("sick pay", "grade: A\ndays: 30\n")


def test_only_what_the_document_says_itself_dates_it():
    assert parse(b":effective: 2025-03-01\n:superseded: 2026-01-01\n\nText.", "a.rst").effective == "2025-03-01"
    word = docx.Document()
    word.add_paragraph("It is paid.")
    for data, uri in ((saved(word), "a.docx"), (pdf_of(["It is paid."]), "a.pdf")):  # both hold when they were written
        assert (parse(data, uri).effective, parse(data, uri).superseded) == ("", "")


def test_an_empty_first_page_is_a_page():
    assert parse(pdf_of([], ["It is paid."]), "a.pdf").text == "\f\n\nIt is paid.\n"


def test_pictures_written_as_text_go():
    assert parse(b"A ![map](data:image/png;base64,AAAA/+09==) here.", "a.md").text == "A ![map]() here.\n"


def test_half_a_character_is_put_to_its_other_half_or_replaced(monkeypatch):
    monkeypatch.setitem(
        parsing.OF_BYTES, ".pdf", lambda data: ("a \ud835\udc65 and \ud835 alone \x00", {"title": "\udc65"})
    )
    document = parse(b"", "a.pdf")
    assert (document.text, document.title) == ("a \U0001d465 and \ufffd alone\n", "\ufffd")
    assert parse(b'---\nversion: "\\uD835"\n---\nText', "a.md").version == "\ufffd"
    UnreadableDocument("corrupt", "\ud835").evidence.encode()
