"""How much the examples of a training set repeat one another: the share that has a near neighbour. Pure.

Deduplication removes what is alike by 0.8 and more. What is alike by half stays, and many such examples are one example told
often: over several epochs they are learnt by heart. Passages are left out: examples share them by design.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from metier.records import Dialogue
from metier.retrieval.prompt import asked
from metier.text.minhash import band_keys, lsh_shape
from metier.text.shingles import shingle_sets, texts_of
from metier.text.similarity import Buckets, buckets_of, clusters

NEAR = 0.5  # Jaccard similarity of word pairs: half of what is said is said in another example too
SHINGLE_WORDS, PERMUTATIONS = 2, 128
MOST = 10_000  # examples that are looked at: a sample of more tells the same


def neighbour_share(texts: Iterable[str], near: float = NEAR, seed: int = 0) -> float:
    """The share of texts that have another one alike by `near` or more; 0 for none. Of many, a sample is looked at.

    A pair at `near` itself is found with a probability of 0.995 (MinHash and banding, every candidate verified).
    """
    every = list(texts)
    some = every if len(every) <= MOST else random.Random(seed).sample(every, MOST)
    if len(some) < 2:
        return 0.0
    column = texts_of(pa.array(some, pa.large_string()))
    keys = band_keys(column, SHINGLE_WORDS, *lsh_shape(near, PERMUTATIONS))
    found = clusters(Buckets.of([buckets_of(band) for band in keys]), shingle_sets(column, SHINGLE_WORDS), near)
    _, sizes = np.unique(found, return_counts=True)
    return float(sizes[sizes > 1].sum() / len(some))


def spoken(dialogues: Sequence[Dialogue]) -> list[str]:
    """What user and assistant say in each dialogue, without the passages in a prompt."""
    return ["\n".join([asked(one.question), one.answer]) for one in dialogues]
