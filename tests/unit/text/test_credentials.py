"""Secrets are found, and the placeholders and names that documentation is full of are not."""

from __future__ import annotations

import pytest

from metier.text.credentials import random_looking, secrets


def found(text: str) -> list[str]:
    return [text[f.start : f.end] for f in secrets(text)]


def made(length: int) -> str:  # no scanner of repositories shall take a test's text for a real secret
    return "".join("aZ3kQ9xB7mW2"[i % 12] for i in range(length))


@pytest.mark.parametrize(
    "value",
    ["AKIA" + "Q3XZ" * 4, "ghp_" + made(36), "glpat-" + made(20), "xoxb-" + "1" * 12 + "-" + made(24), "sk_live_" + made(24),
     "AIza" + made(35), f"eyJ{made(30)}.eyJ{made(60)}.{made(43)}", "hf_" + "aBcDe" * 7],
)  # fmt: skip
def test_a_token_of_a_known_issuer_needs_no_name(value):
    for text in (value, f"found {value}.", f"x = '{value}'"):
        assert found(text) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("postgres://alice:S3cr-tZ9x@db.acme.com/x", "alice:S3cr-tZ9x"),
        ("redis://:pAq83jslLqpw@cache:6379/0", ":pAq83jslLqpw"),
        (f"https://x.io/hook?token={made(24)}&a=1", made(24)),
        (f"password={made(14)}", made(14)),
        (f'"api_key": "{made(32)}",', made(32)),
        (f"Authorization: Bearer {made(40)}", made(40)),
        (f"token: client_secret='{made(20)}'", made(20)),
    ],
)
def test_what_is_given_to_a_name_or_stands_in_a_url_is_found(text, value):
    assert value in found(text)


def test_a_private_key_is_found_whole():
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{made(64)}\n{made(64)}\n-----END RSA PRIVATE KEY-----"
    assert found(f"here:\n{key}\n") == [key]


@pytest.mark.parametrize(
    "text",
    [
        "token=tokenizer.eos_token_id",
        "api_key=os.environ['API_KEY']",
        "https://user:password@host/x, https://user:pw@host and http://name:<secret>@host",
        "password: str = Field(min_length=8)",
        "secret_key = get_secret_value(name)",
        "token: PreTrainedTokenizerBase",
        "auth_token=YOUR_AUTH_TOKEN_HERE",
        "access_token = response.access_token",
        "signature: :py:class:`ModelSignature`",
        "basic usage of the tokenizer",
    ],
)
def test_names_and_placeholders_are_left_alone(text):
    assert found(text) == []


def test_what_was_drawn_changes_kind_more_often_than_a_name():
    assert random_looking(made(16))
    assert not random_looking("MyTokenizerClass")
    assert not random_looking("short1")
