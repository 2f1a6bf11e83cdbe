"""The bearer token: from the environment, else made once and kept in the store, readable by its owner alone.

Replicas are given only the token's digest, so the token stands in no actor's arguments and no log.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from metier.errors import InputError

VARIABLE = "METIER_API_KEY"
SHORTEST = 16  # characters


def key_file(store: Path) -> Path:
    """Where a store keeps its token."""
    return store / "serve" / "api_key"


def api_key(store: Path) -> str:
    """The token of the environment variable METIER_API_KEY, else of the store, where it is made on the first call."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        if len(given) < SHORTEST:
            raise InputError(f"{VARIABLE}: at least {SHORTEST} characters are needed; leave it empty for a made one")
        return given
    path = key_file(store)
    if not path.exists():
        _make(path)
    return path.read_text(encoding="utf-8").strip()


def _make(path: Path) -> None:
    """Whole or not at all, and never over another's: two that start at once end with the same token."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"sk-metier-{secrets.token_urlsafe(32)}\n")
    try:
        os.link(scratch, path)
    except FileExistsError:
        return
    finally:
        scratch.unlink()


def key_digest(key: str) -> str:
    """SHA-256 of the token. It is long and random, so a plain digest gives nothing away."""
    return hashlib.sha256(key.encode()).hexdigest()


def authorised(header: str, digest: str) -> bool:
    """Whether an Authorization header holds the token with this digest. Takes as long for a near miss as for any other."""
    scheme, _, token = header.partition(" ")
    return hmac.compare_digest(key_digest(token.strip()), digest) and scheme.lower() == "bearer"
