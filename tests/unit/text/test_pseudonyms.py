"""The same value, the same surrogate; and nothing of the value in it."""

from __future__ import annotations

from metier.text.personal import finder
from metier.text.pseudonyms import canonical, key_fingerprint, keyed, masked, numbered

FIND = finder(("EMAIL_ADDRESS", "PHONE_NUMBER"), 0.4)
TEXT = "jane@acme.com wrote to bob@acme.com; JANE@acme.com rang +44 20 7946 0958."


def test_numbers_follow_the_values():
    assert masked(TEXT, FIND, numbered([TEXT])) == (
        "<EMAIL_ADDRESS_1> wrote to <EMAIL_ADDRESS_2>; <EMAIL_ADDRESS_1> rang <PHONE_NUMBER_1>."
    )


def test_what_is_masked_is_not_masked_again_and_keeps_its_numbers():
    once = masked(TEXT, FIND, numbered([TEXT]))
    assert masked(once, FIND, numbered([once])) == once
    more = f"{once} eve@acme.com"
    assert masked(more, FIND, numbered([more])) == f"{once} <EMAIL_ADDRESS_3>"


def test_a_key_gives_the_same_everywhere_and_another_key_another():
    ours, theirs = keyed(b"k" * 32), keyed(b"l" * 32)
    assert ours("EMAIL_ADDRESS", "Jane@acme.com") == keyed(b"k" * 32)("EMAIL_ADDRESS", "jane@acme.com")
    assert ours("PHONE_NUMBER", "+44 20 7946 0958") == ours("PHONE_NUMBER", "+442079460958")
    assert ours("EMAIL_ADDRESS", "a@b.de") != theirs("EMAIL_ADDRESS", "a@b.de")
    assert ours("EMAIL_ADDRESS", "a@b.de") != ours("EMAIL_ADDRESS", "a@c.de")


def test_a_fingerprint_tells_keys_apart_and_is_short():
    assert key_fingerprint(b"k" * 32) == key_fingerprint(b"k" * 32) != key_fingerprint(b"l" * 32)
    assert len(key_fingerprint(b"k" * 32)) == 8


def test_a_person_is_one_in_whatever_order_and_with_whatever_initials():
    same = {canonical("PERSON", name) for name in ("Anna Meier", "MEIER, Anna", "Anna B. Meier", "anna meier")}
    assert len(same) == 1
    assert canonical("PERSON", "Anna Maier") not in same
    assert canonical("PERSON", "B.") != ""


def test_of_secrets_and_wallets_the_case_counts():
    assert keyed(b"k" * 32)("SECRET", "aBc") != keyed(b"k" * 32)("SECRET", "abc")
