"""The model registry: MLflow over one SQLite file in the store, no server. The alias `production` is the one truth.

A version's tags say which release it is; nothing in the registry names a path outside the store, so a store can be
moved or mounted elsewhere. Importing MLflow takes seconds: only these functions do it.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.errors import InputError

DATABASE = "mlflow.db"
ALIAS = "production"
CONTENT, RELEASE = "content", "release"  # the two tags that Metier itself reads
LONGEST_TAG = 4000


@dataclass(frozen=True)
class Version:
    """A registered version: the model's name, its number, and its release's place in the store."""

    name: str
    number: int
    release: str


def register_release(store: Path, name: str, release: str, content: str, tags: dict[str, str]) -> Version:
    """Registers a release and gives it the alias `production`. The same content again is the same version.

    `content` is the digest of what is released; `release` is where its description lies in the store.
    """
    client = mlflow_client(store)
    if not any(model.name == name for model in client.search_registered_models()):
        client.create_registered_model(name)
    known = client.search_model_versions(f"name='{name}' and tags.`{CONTENT}` = '{content}'")
    tags = {key: value[:LONGEST_TAG] for key, value in (tags | {CONTENT: content, RELEASE: release}).items()}
    if known:
        number = max(int(one.version) for one in known)
        for key, value in tags.items():
            client.set_model_version_tag(name, str(number), key, value)
    else:
        number = int(client.create_model_version(name, source=tags.get("model", release), tags=tags).version)
    client.set_registered_model_alias(name, ALIAS, str(number))
    return Version(name, number, release)


def production(store: Path, name: str = "") -> Version:
    """The version that the alias `production` names. Raises InputError when there is none, or several models to choose from."""
    if not (store / DATABASE).exists():
        raise InputError(f"store {store}: no release is registered; `metier run FILE` makes and registers one")
    client = mlflow_client(store)
    served = {m.name: m.aliases[ALIAS] for m in client.search_registered_models() if ALIAS in m.aliases}
    if not served:
        raise InputError(f"store {store}: no registered model has the alias {ALIAS}; `metier run FILE` gives it")
    if name and name not in served:
        raise InputError(f"store {store}: no model {name!r} in production; there are: {', '.join(sorted(served))}")
    if not name and len(served) > 1:
        raise InputError(f"store {store}: several models are in production, name one: {', '.join(sorted(served))}")
    chosen = name or next(iter(served))
    version = client.get_model_version(chosen, str(served[chosen]))
    return Version(chosen, int(version.version), version.tags[RELEASE])


def mlflow_client(store: Path) -> Any:
    """MLflow over the store's database: quiet, and nothing is sent anywhere."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    uri = f"sqlite:///{(store / DATABASE).absolute()}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)
