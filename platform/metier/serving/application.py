"""The Serve application of a release: door -> retriever, language model. Also what Serve's YAML files import.

Building it starts nothing; `metier.serving.local` runs it here, `serve run serve/local.yaml` or `serve deploy` elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from metier.serving.chat import Limits
from metier.serving.keys import api_key, key_digest
from metier.serving.language_model import language_model
from metier.serving.release import Release, open_release, production_release
from metier.serving.settings import ServeSettings, settings_from

if TYPE_CHECKING:
    from ray.serve import Application


def build(args: dict[str, Any]) -> Application:
    """The application from plain values (`args:` in a Serve YAML file), with their meaning as in ServeSettings."""
    settings = settings_from(args)
    return application(settings, released(settings))


def released(settings: ServeSettings) -> Release:
    """The release that the settings mean: the one named, else the one in production. Raises InputError without one."""
    store = Path(settings.store).expanduser().absolute()
    if settings.release:
        return open_release(store, settings.release)
    return production_release(store, settings.model)


def application(settings: ServeSettings, release: Release) -> Application:
    """The application for a release."""
    from ray import serve

    from metier.serving.door import Door
    from metier.serving.retriever import PassageRetriever

    store = Path(settings.store).expanduser().absolute()
    retriever = serve.deployment(
        num_replicas=settings.retriever_replicas,
        ray_actor_options={"num_cpus": 0.5},
        max_constructor_retry_count=1,
    )
    door = serve.deployment(
        num_replicas=settings.door_replicas,
        ray_actor_options={"num_cpus": 0.25},
        max_ongoing_requests=settings.max_waiting,
        max_queued_requests=settings.max_waiting,
        max_constructor_retry_count=1,
    )
    return door(Door).bind(
        retriever(PassageRetriever).bind(str(release.index), release.embedder),
        language_model(settings, release),
        store=str(store),
        release=release.key,
        passages=release.passages,
        limits=Limits(release.name, settings.max_messages, release.max_tokens, release.max_answer_tokens),
        max_body_bytes=settings.max_body_bytes,
        key_digest=key_digest(api_key(store)) if settings.require_key else "",
    )
