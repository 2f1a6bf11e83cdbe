"""Lines that say nothing of their document."""

from __future__ import annotations

import pytest

from metier.text.boilerplate import boilerplate, line_keys, notice

PROSE = "A branch reports its reserve within three days of the end of the quarter.\n"


@pytest.mark.parametrize(
    "line",
    [
        "We use cookies to improve your visit.",
        "Accept all cookies",
        "© 2024 Example Ltd. All rights reserved.",
        "Home | Products | Contact | Log in",
        "Skip to main content",
        "Next page",
        "Read our privacy policy",
        "Subscribe to our newsletter",
    ],
)
def test_notices_and_navigation_are_seen(line):
    assert notice(line)


@pytest.mark.parametrize(
    "line",
    [
        "A session cookie holds the id of the user.",
        "The next page of results is fetched by its token.",
        "Copyright law protects authors.",
        "Contact the auditor before the end of the year.",
        "The privacy policy must name every recipient of personal data and say how long each of them keeps it.",
        "",
    ],
)
def test_prose_about_them_is_none(line):
    assert not notice(line)


def test_a_page_of_boilerplate_is_told_with_an_example():
    page = "We use cookies to improve your visit.\nHome | About | Contact\nA word of own.\n"
    assert "such as 'We use cookies" in boilerplate(page, (), 0.5)
    assert boilerplate(page + 3 * PROSE, (), 0.5) == ""
    assert boilerplate("", (), 0.5) == ""


def test_what_many_documents_repeat_is_boilerplate_in_each():
    recurring = {key for key, _ in line_keys(PROSE)}
    assert boilerplate(PROSE, recurring, 0.5)
    assert boilerplate(PROSE.upper(), recurring, 0.5)
    assert boilerplate(f"```\n{PROSE}```\nAnother line of words.", recurring, 0.5) == ""
