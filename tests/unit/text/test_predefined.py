"""Presidio's finds are kept where they look like what they are said to be."""

from __future__ import annotations

import pytest

from metier.text.predefined import mailboxes, predefined


def found(kind: str, text: str) -> list[str]:
    (finds,) = predefined([kind])
    return [text[f.start : f.end] for f in finds(text)]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("IP_ADDRESS", "The visitor's IP address, 93.184.216.34, was logged", "93.184.216.34"),
        ("IP_ADDRESS", "93.184.216.34 is the client", "93.184.216.34"),
        ("IP_ADDRESS", "remote_ip=2a00:1450:4001:82b:0:0:0:200e", "2a00:1450:4001:82b:0:0:0:200e"),
        ("CRYPTO", "to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa!", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
        ("IBAN_CODE", "to GB82 WEST 1234 5698 7654 32 by Friday", "GB82 WEST 1234 5698 7654 32"),
        ("PHONE_NUMBER", "+1 212 555 0123", "+1 212 555 0123"),
    ],
)
def test_what_is_right_is_kept(kind, text, value):
    assert found(kind, text) == [value]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("IP_ADDRESS", "server version 8.8.4.4"),
        ("IP_ADDRESS", "the host 10.0.0.7 and node 127.0.0.1"),
        ("IP_ADDRESS", "a::b and x[1::2]"),
        ("PHONE_NUMBER", "sizes 128 256 512 1024"),
        ("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"),
    ],
)
def test_what_only_looks_like_it_is_not(kind, text):
    assert found(kind, text) == []


def test_other_kinds_are_not_asked_for():
    assert predefined(["PASSPORT", "PERSON"]) == []


def test_a_mailbox_needs_a_domain_that_can_exist():
    assert [f.start for f in mailboxes("a@acme.com, b@corp.local, c@inputs.transpose, git@github.com")] == [0, 12]
