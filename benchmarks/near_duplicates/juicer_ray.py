"""Data-Juicer's deduplicator on Ray, reading and writing included; runs in an environment that holds Data-Juicer.

PYTHON -m benchmarks.near_duplicates.juicer_ray WARM.parquet TEXTS.parquet
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.near_duplicates.watch import Watch


def run(texts: Path, out: Path) -> int:
    """Deduplicates with 16 bands of 8 and gives the number of rows that stay."""
    import pyarrow.parquet as pq
    import ray.data
    from data_juicer.ops.deduplicator.ray_bts_minhash_deduplicator import RayBTSMinhashDeduplicator

    step = RayBTSMinhashDeduplicator(tokenization="space", window_size=5, num_permutations=128, jaccard_threshold=0.8,
                                     num_bands=16, num_rows_per_band=8, work_dir=str(out / "work"))  # fmt: skip
    step.run(ray.data.read_parquet(str(texts))).write_parquet(str(out / "kept"))
    return pq.read_table(out / "kept", columns=["id"]).num_rows


def main() -> None:
    """Warms up, runs, and prints what it cost as JSON."""
    import ray

    warm, texts = map(Path, sys.argv[1:])
    ray.init(address="local", log_to_driver=False)
    with tempfile.TemporaryDirectory() as scratch:
        run(warm, Path(scratch, "warm"))
        with Watch() as watch:
            kept = run(texts, Path(scratch, "made"))
    print(json.dumps({"cpu": watch.spent, "wall": watch.wall, "peak_mib": watch.peak, "kept": kept}))


if __name__ == "__main__":
    main()
