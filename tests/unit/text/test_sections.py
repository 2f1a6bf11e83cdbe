"""Markdown cut into sections, blocks, sentences."""

from metier.text.sections import Section, as_prose, blocks, sections, sentences


def test_headings_in_code_are_not_headings():
    text = "intro\n\n# One\na\n```\n# not this\n```\n## Two ##\nb"
    assert sections(text) == [
        Section("", 0, "intro"),
        Section("One", 1, "a\n```\n# not this\n```"),
        Section("Two", 2, "b"),
    ]


def test_blocks_are_paragraphs_items_and_whole_fences():
    assert blocks("a\nb\n\n- one\n- two\n  more\n```py\nx\n\ny\n```\nend") == [
        "a\nb",
        "- one",
        "- two\n  more",
        "```py\nx\n\ny\n```",
        "end",
    ]


def test_abbreviations_decimals_and_dotted_names_end_no_sentence():
    text = "Use e.g. Arrow or ray.data.Dataset. It takes 0.5 s. Done!"
    assert sentences(text) == ["Use e.g. Arrow or ray.data.Dataset.", "It takes 0.5 s.", "Done!"]


def test_nothing_has_no_sentence():
    assert sentences("  ") == []


def test_prose_from_elsewhere_is_neither_heading_nor_fence():
    text = "# 5 is the room\n#hash\n```\nends here"
    assert [s.heading for s in sections(as_prose(text))] == [""]
    assert blocks(as_prose(text)) == ["\\# 5 is the room\n#hash\n\\```\nends here"]
    assert as_prose("Plain - and 1. simple") == "Plain - and 1. simple"
