"""The engines that are compared, each a function from a Parquet file of `text` to the row that stays for each row.

Every one reads the file, makes signatures over lower-case word 5-grams, finds candidates by bands, and clusters them; only
some verify candidates. Where a library stops at candidates, the same union-find and the lowest row of a cluster finish it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

WIDTH, PERMUTATIONS, BANDS, EACH = 5, 128, 16, 8


def clustered(rows: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """The lowest row of each row's cluster."""
    parent = list(range(rows))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for a, b in pairs:
        a, b = sorted((root(a), root(b)))
        parent[b] = a
    return np.array([root(row) for row in range(rows)])


def _texts(path: Path) -> list[str]:
    return pq.read_table(path, columns=["text"])["text"].to_pylist()


def _grams(text: str) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + WIDTH]) for i in range(max(1, len(words) - WIDTH + 1))}


def metier(path: Path) -> np.ndarray:
    """The operator of `stages/deduplicate.py` in one process, in its way: the table is read in pieces, and its candidates
    once more; exact verification; a row that stays for each that goes."""
    import pyarrow as pa

    from metier.text import similarity
    from metier.text.minhash import band_keys, lsh_shape
    from metier.text.shingles import Sets, shingle_sets, texts_of
    from metier.text.similarity import Buckets, buckets_of, deduplicated

    file = pq.ParquetFile(path)

    def pieces() -> Iterator[pa.ChunkedArray]:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=["text"], use_threads=False)["text"]

    keys = np.concatenate(
        [band_keys(texts_of(piece), WIDTH, *lsh_shape(0.8, PERMUTATIONS)) for piece in pieces()], axis=1
    )
    rows = keys.shape[1]
    candidates, (buckets,) = similarity.dealt(rows, Buckets.of([buckets_of(band) for band in keys]), 1)
    sets, first = list[Sets](), 0
    for piece in pieces():
        own = pa.array(candidates.between(first, first + len(piece)).rows - first)
        sets.append(shingle_sets(texts_of(piece.take(own)), WIDTH))
        first += len(piece)
    number = len(candidates.rows)
    outcome = deduplicated(buckets, Sets.of(sets), np.arange(number), np.zeros(number, bool), 0.8, 0.7)
    kept_by = np.arange(rows)
    gone = outcome.kept_by >= 0
    kept_by[candidates.rows[gone]] = candidates.rows[outcome.kept_by[gone]]
    return kept_by


def datasketch(path: Path) -> np.ndarray:
    """datasketch: its MinHash with xxh3 and its default scheme, its LSH with 16 bands of 8."""
    import xxhash
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, EACH))
    pairs: list[tuple[int, int]] = []
    texts = _texts(path)
    sketches = MinHash.generator(
        ([gram.encode() for gram in _grams(text)] for text in texts), num_perm=PERMUTATIONS, hashfunc=_xxh32(xxhash)
    )
    for row, sketch in enumerate(sketches):
        pairs += [(row, other) for other in index.query(sketch)]
        index.insert(row, sketch, check_duplication=False)
    return clustered(len(texts), pairs)


def _xxh32(xxhash: Any) -> Callable[[bytes], int]:
    return lambda data: xxhash.xxh3_64_intdigest(data) & 0xFFFFFFFF


def rensa(path: Path) -> np.ndarray:
    """rensa: RMinHash and its LSH with 16 bands."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=0.8, num_perm=PERMUTATIONS, num_bands=BANDS)
    pairs: list[tuple[int, int]] = []
    texts = _texts(path)
    for row, text in enumerate(texts):
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=42)
        sketch.update(list(_grams(text)))
        pairs += [(row, other) for other in index.query(sketch)]
        index.insert(row, sketch)
    return clustered(len(texts), pairs)


def daft(path: Path) -> np.ndarray:
    """Daft: its normalise and minhash expressions; bands by NumPy, candidates not verified."""
    import daft as library

    column = library.col("text").normalize(remove_punct=True, lowercase=True, nfd_unicode=False, white_space=True)
    sketch = column.minhash(num_hashes=PERMUTATIONS, ngram_size=WIDTH, hash_function="xxhash")
    frame = library.read_parquet(str(path)).select(sketch)
    arrow = frame.to_arrow()["text"].combine_chunks()
    signature = np.asarray(arrow.flatten()).reshape(-1, PERMUTATIONS)
    pairs: list[tuple[int, int]] = []
    for band in range(BANDS):
        rows = np.ascontiguousarray(signature[:, band * EACH : (band + 1) * EACH])
        keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * EACH))).ravel()
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        other = first[inverse]
        again = np.flatnonzero(other != np.arange(len(other)))
        pairs += zip(again.tolist(), other[again].tolist(), strict=True)
    return clustered(len(signature), pairs)


def datatrove(path: Path) -> np.ndarray:
    """datatrove: its four steps with its default of 14 buckets of 8 hashes, in one process; candidates not verified."""
    import struct
    import tempfile

    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupSignature,
    )

    texts, config = _texts(path), MinhashConfig(n_grams=WIDTH)
    with tempfile.TemporaryDirectory() as scratch:
        documents = (Document(text=text, id=str(row)) for row, text in enumerate(texts))
        MinhashDedupSignature(f"{scratch}/signatures", config).run(documents)
        for bucket in range(config.num_buckets):
            step = MinhashDedupBuckets(f"{scratch}/signatures", f"{scratch}/pairs", config=config)
            step.run(rank=bucket, world_size=config.num_buckets)
        MinhashDedupCluster(f"{scratch}/pairs", f"{scratch}/removed", config=config, save_cluster_id=True).run()
        found = Path(scratch, "removed", "000000.clusters")
        numbers = list(struct.iter_unpack("<2I", found.read_bytes())) if found.exists() else []
    first: dict[int, int] = {}
    return clustered(len(texts), ((row, first.setdefault(cluster, row)) for row, cluster in numbers))


def juicer(path: Path) -> np.ndarray:
    """Data-Juicer: its MinHash operator in one process, 16 bands of 8; its clusters are kept aside as it makes them."""
    from data_juicer.ops.deduplicator import document_minhash_deduplicator as operator

    forests: list[Any] = []

    class Kept(operator.UnionFind):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            forests.append(self)

    operator.UnionFind = Kept
    from datasets import Dataset

    texts = _texts(path)
    step = operator.DocumentMinhashDeduplicator(
        tokenization="space", window_size=WIDTH, num_permutations=PERMUTATIONS, jaccard_threshold=0.8, num_bands=BANDS,
        num_rows_per_band=EACH,
    )  # fmt: skip
    data = Dataset.from_dict({"text": texts}).map(step.compute_hash)
    step.process(data)
    return clustered(len(texts), ((row, forests[-1].find(row)) for row in range(len(texts))))


ENGINES: dict[str, Callable[[Path], np.ndarray]] = {
    f.__name__: f for f in (metier, datasketch, rensa, daft, datatrove, juicer)
}
