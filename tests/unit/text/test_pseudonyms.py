"""The same value, the same surrogate; and nothing of the value in it."""

from __future__ import annotations

from metier.text.pseudonyms import key_fingerprint, keyed, masked, numbered

KINDS = ("EMAIL_ADDRESS", "PHONE_NUMBER")
TEXT = "jane@acme.com wrote to bob@acme.com; JANE@acme.com rang +44 20 7946 0958."


def test_numbers_follow_the_values():
    assert masked(TEXT, KINDS, 0.4, numbered([TEXT])) == (
        "<EMAIL_ADDRESS_1> wrote to <EMAIL_ADDRESS_2>; <EMAIL_ADDRESS_1> rang <PHONE_NUMBER_1>."
    )


def test_what_is_masked_is_not_masked_again_and_keeps_its_numbers():
    once = masked(TEXT, KINDS, 0.4, numbered([TEXT]))
    assert masked(once, KINDS, 0.4, numbered([once])) == once
    more = f"{once} eve@acme.com"
    assert masked(more, KINDS, 0.4, numbered([more])) == f"{once} <EMAIL_ADDRESS_3>"


def test_a_key_gives_the_same_everywhere_and_another_key_another():
    ours, theirs = keyed(b"k" * 32), keyed(b"l" * 32)
    assert ours("EMAIL_ADDRESS", "Jane@acme.com") == keyed(b"k" * 32)("EMAIL_ADDRESS", "jane@acme.com")
    assert ours("PHONE_NUMBER", "+44 20 7946 0958") == ours("PHONE_NUMBER", "+442079460958")
    assert ours("EMAIL_ADDRESS", "a@b.de") != theirs("EMAIL_ADDRESS", "a@b.de")
    assert ours("EMAIL_ADDRESS", "a@b.de") != ours("EMAIL_ADDRESS", "a@c.de")


def test_a_fingerprint_tells_keys_apart_and_is_short():
    assert key_fingerprint(b"k" * 32) == key_fingerprint(b"k" * 32) != key_fingerprint(b"l" * 32)
    assert len(key_fingerprint(b"k" * 32)) == 8
