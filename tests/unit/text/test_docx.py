"""Word documents as Markdown, written by python-docx; what it can't write is put into their XML by hand."""

from __future__ import annotations

import io
import zipfile

import docx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from hypothesis import given
from hypothesis import strategies as st

import metier.text.docx
from metier.text.docx import docx_to_markdown
from metier.text.unreadable import UnreadableDocument
from tests.fixtures.office_files import saved


def markdown(document: docx.document.Document) -> str:
    return docx_to_markdown(saved(document))[0]


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableDocument) as fault:
        docx_to_markdown(data)
    assert fault.value.evidence
    return fault.value.reason


def with_xml(*pieces: str) -> str:
    """The text of a document whose body holds these pieces of WordprocessingML."""
    document = docx.Document()
    for piece in pieces:
        name, rest = piece[1:].split(">", 1)
        document.element.body.insert(0, parse_xml(f"<{name} {nsdecls('w')}>{rest}"))
    return markdown(document)


def repacked(data: bytes, **parts: bytes) -> bytes:
    """The document with other contents of some of its parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts.get(name.rsplit("/", 1)[-1].removesuffix(".xml"), old.read(name)))
    return out.getvalue()


def test_headings_paragraphs_lists_and_tables_stand_in_their_order():
    document = docx.Document()
    document.add_heading("The handbook", 0)
    document.add_heading("Leave", 1)
    document.add_paragraph("It lasts 30 days.\nIt is paid.")
    document.add_paragraph("a form", style="List Bullet")
    document.add_paragraph("a pen", style="List Number")
    table = document.add_table(2, 2)
    for cell, text in zip((c for row in table.rows for c in row.cells), ("Grade", "Days", "A | B", "31"), strict=True):
        cell.text = text
    document.add_heading("Pay", 2)
    assert markdown(document) == (
        "# The handbook\n\n# Leave\n\nIt lasts 30 days.\nIt is paid.\n\n- a form\n- a pen\n\n"
        "| Grade | Days |\n| --- | --- |\n| A \\| B | 31 |\n\n## Pay"
    )


def test_a_style_of_ones_own_is_the_heading_that_it_is_based_on():
    document = docx.Document()
    style = document.styles.add_style("House heading", docx.enum.style.WD_STYLE_TYPE.PARAGRAPH)
    style.base_style = document.styles["Heading 2"]
    document.add_paragraph("Leave", style="House heading")
    document.add_paragraph("# of days: 30")
    assert markdown(document) == "## Leave\n\n\\# of days: 30"


def test_the_title_comes_from_the_properties_and_no_date_does():
    document = docx.Document()
    document.core_properties.title = "Sick\n pay"
    document.add_paragraph("It is paid.")
    assert docx_to_markdown(saved(document))[1] == {"title": "Sick pay"}


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        ("<w:p><w:r><w:t>It lasts </w:t></w:r><w:ins><w:r><w:t>3</w:t></w:r></w:ins>"
         "<w:del><w:r><w:tab/><w:delText>20</w:delText></w:r></w:del>"
         "<w:moveFrom><w:r><w:t>no </w:t></w:r></w:moveFrom>"
         "<w:r><w:t>0 days.</w:t></w:r></w:p>", "It lasts 30 days."),
        ("<w:sdt><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p></w:sdtContent></w:sdt>", "In a control."),
        ("<w:p><w:hyperlink><w:r><w:t>a link</w:t></w:r></w:hyperlink><w:r><w:tab/><w:t>and</w:t></w:r></w:p>",
         "a link and"),
        ("<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>deep</w:t></w:r></w:p>"
         "</w:tc></w:tr></w:tbl></w:tc></w:tr></w:tbl>", "| a deep |\n| --- |"),
        ("<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>an item</w:t></w:r></w:p>", "- an item"),
    ],
    ids=["tracked changes", "content control", "link", "table in a table", "numbered by hand"],
)  # fmt: skip
def test_what_stands_in_wrappers_is_read_as_the_eye_sees_it(piece, expected):
    assert with_xml(piece) == expected


def test_what_is_no_word_document_says_why():
    good = saved(docx.Document())
    assert reason(b"a letter") == "corrupt"
    assert reason(good[: len(good) // 2]) == "corrupt"
    assert reason(b"\xd0\xcf\x11\xe0" + bytes(600)) == "encrypted"
    assert reason(repacked(good, document=b"<w:document")) == "corrupt"
    assert reason(repacked(good, document=b"<other/>")) == "corrupt"
    sheet = io.BytesIO()
    with zipfile.ZipFile(sheet, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    assert reason(sheet.getvalue()) == "corrupt"


def test_a_zip_bomb_is_measured_while_it_is_unpacked(monkeypatch):
    bomb = repacked(saved(docx.Document()), document=b"<a>" + b" " * 3_000_000 + b"</a>")
    assert len(bomb) < 100_000
    monkeypatch.setattr(metier.text.docx, "MOST_UNPACKED", 1_000_000)
    assert reason(bomb) == "too_large"


def test_entities_that_grow_without_end_are_refused():
    nested = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    laughs = f'<!DOCTYPE d [<!ENTITY a0 "{"ha" * 50}">{nested}]><d>&a11;</d>'
    assert reason(repacked(saved(docx.Document()), document=laughs.encode())) == "corrupt"


WHOLE = saved(docx.Document())


@given(at=st.integers(0, len(WHOLE) - 1), bytes_=st.binary(min_size=1, max_size=20))
def test_a_damaged_file_is_read_or_refused_and_never_stops_a_run(at, bytes_):
    try:
        assert isinstance(docx_to_markdown(WHOLE[:at] + bytes_ + WHOLE[at + len(bytes_) :])[0], str)
    except UnreadableDocument as fault:
        assert fault.reason in ("corrupt", "encrypted", "scanned")  # noqa: PT017 (either outcome is right)
