"""From candidate buckets to clusters: every join is verified, and large buckets stay cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


class Clusters:
    """Union-find over keys (Tarjan 1975, path halving); the smallest key of a cluster is its root."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def root(self, key: str) -> str:
        """The name of the cluster that `key` is in; a key that was never joined is its own."""
        parent = self._parent
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    def join(self, a: str, b: str) -> None:
        """Makes the clusters of two keys one."""
        first, second = sorted((self.root(a), self.root(b)))
        self._parent[second] = first


def clusters_of(buckets: Iterable[Sequence[str]], alike: Callable[[str, str], bool]) -> Clusters:
    """The connected components of all pairs that share a bucket and are `alike`, whatever the order of either.

    A pair that other pairs have connected already is not compared: a bucket of n copies costs n comparisons, not n².
    """
    joined, unlike = Clusters(), set[tuple[str, str]]()

    def verified(a: str, b: str) -> bool:
        pair = (a, b) if a < b else (b, a)
        if pair in unlike:
            return False
        if alike(*pair):
            return True
        unlike.add(pair)
        return False

    for bucket in buckets:
        groups: list[list[str]] = []
        for member in bucket:
            own, apart = [member], []
            for group in groups:
                if joined.root(group[0]) == joined.root(member) or any(verified(member, other) for other in group):
                    joined.join(group[0], member)
                    own = _united(group, own)
                else:
                    apart.append(group)
            groups = [own, *apart]
    return joined


def _united(a: list[str], b: list[str]) -> list[str]:
    """Both lists as one, the shorter moved into the longer: a long group is not copied for each newcomer."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    longer.extend(shorter)
    return longer
