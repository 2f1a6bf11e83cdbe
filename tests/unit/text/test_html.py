"""HTML as Markdown. A whole page is tested with the parsing of files; here is what pages do to us."""

from __future__ import annotations

import pytest

from metier.text.html import html_to_markdown


def markdown(source: str) -> str:
    return html_to_markdown(source)[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<h2>Two  <em>words</em></h2><h6>Deep</h6>", "## Two words\n\n###### Deep"),
        ("<p>One\n line.</p><p>Two.<br>Three.</p>", "One line.\n\nTwo.\nThree."),
        ("loose <b>words</b><p>and a paragraph</p>more", "loose words\n\nand a paragraph\n\nmore"),
        ("<p>Press <kbd>Esc</kbd> in <code>a.b</code></p>", "Press `Esc` in `a.b`"),
        ("<pre><code>a = 1\n  b</code></pre>", "```\na = 1\n  b\n```"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ("<ul><li>one<ul><li>deep</li></ul></li></ul>", "- one\n  - deep"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n> b"),
        ("<dl><dt>term</dt><dd>meaning</dd></dl>", "term\n\nmeaning"),
        ("<div><section><p>deep down</p></section></div>", "deep down"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>",
         "| a | b |\n| --- | --- |\n| c | d |"),
        ("&lt;b&gt; &amp; &eacute;&nbsp;x", "<b> & é x"),
    ],
)  # fmt: skip
def test_structure_is_kept(source, expected):
    assert markdown(source) == expected


@pytest.mark.parametrize("tag", ["script", "style", "nav", "footer", "aside", "form", "noscript", "svg", "button"])
def test_what_is_not_content_goes(tag):
    assert markdown(f"<p>before</p><{tag}>noise</{tag}><p>after<!-- hidden --></p>") == "before\n\nafter"


def test_the_main_part_of_a_page_is_enough_where_it_is_marked():
    assert markdown("<body><div>Menu</div><main><p>Text</p></main><div>Legal</div></body>") == "Text"
    assert markdown("<body><div>Menu</div><article><p>Text</p></article></body>") == "Text"


def test_title_and_meta_values_are_found_by_lower_case_name():
    _, found = html_to_markdown(
        '<head><title> Sick\n pay </title><meta name="Effective" content="2025-01-31"><meta charset="utf-8"></head>'
    )
    assert found == {"title": "Sick pay", "effective": "2025-01-31"}


def test_a_meta_value_called_title_is_not_the_title():
    assert html_to_markdown('<meta name="title" content="for sharing"><p>x</p>')[1] == {}


def test_the_title_of_a_page_without_a_body_is_not_its_text():
    assert markdown("<title>Fees</title><p>A fee.</p>") == "A fee."


@pytest.mark.parametrize("source", ["", "<p>", "<ul><li>", "<table>", "<div><p>a</div></p>", "<h1", "a < b"])
def test_broken_pages_break_nothing(source):
    assert isinstance(markdown(source), str)


def test_a_page_that_is_one_deep_nest_is_read():
    assert markdown("<div>" * 200 + "core" + "</div>" * 200) == "core"
