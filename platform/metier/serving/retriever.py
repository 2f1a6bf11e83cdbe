"""The retriever's deployment: the release's index behind its embedder. The door asks it before it asks the model."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any


class PassageRetriever:
    """Holds one open index and one loaded embedder."""

    def __init__(self, index: str, embedder: str) -> None:
        from metier.retrieval.embedding import Embedder
        from metier.retrieval.index import Retriever

        self._retriever = Retriever(Path(index), Embedder(embedder))
        self._retriever.search("what is this about?", 1)  # the first search loads what later ones find loaded

    async def search(self, question: str, k: int) -> list[dict[str, Any]]:
        """The `k` best passages as mappings of their fields."""
        found = await asyncio.to_thread(self._retriever.search, question, k)
        return [dataclasses.asdict(passage) for passage in found]
