"""Files as documents, and files that are none."""

import codecs

import pytest

from metier.text.parsing import UnreadableDocument, parse


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
    assert reason(b"%PDF-1.7", "a.pdf") == "unsupported_format"
    assert reason(b"---\neffective: soon\n---\nText", "a.md") == "bad_date"


def test_line_ends_and_marks_do_not_matter():
    assert parse(b"# A\r\n\r\ntext\r\n", "a.md").text == parse(b"# A\n\ntext\n", "a.md").text
