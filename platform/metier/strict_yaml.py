"""YAML as people mean it: a key given twice is refused, a day is the text that it is, and every fault is a YAMLError."""

from __future__ import annotations

import re
from typing import Any

import yaml

MOST_VALUES = 1_000_000  # of a file: aliases of aliases make billions of a few lines
_DAY, _MERGE = "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice instead of silently taking the last, and reads a day as the text that it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag != _DAY]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == _MERGE:  # `<<: *name`; a key beside it wins over what it brings
            continue
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "a key is a single word", key_node.start_mark)
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def yaml_value(text: str) -> Any:
    """What a text of YAML says. Raises yaml.YAMLError, also for more values than a file has and for numbers that mislead."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(
                f"it has more than {MOST_VALUES:,} values, each alias (*NAME) counted in full: write fewer"
            )
        return loader.construct_document(node)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:  # a tag that its value belies
        raise yaml.YAMLError(f"a value is not what its tag or form says ({error})") from None
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None


def _values(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """How many values a node has, those of an alias wherever it stands. Refuses numbers that YAML reads as others."""
    if node in known:
        return known[node]
    known[node] = MOST_VALUES + 1  # an alias of what it stands in has no end
    if isinstance(node, yaml.ScalarNode):
        number = node.tag.endswith((":int", ":float"))
        if number and (":" in node.value or re.fullmatch(r"[-+]?0[0-7_]+", node.value)):  # minutes of hours, and octal
            said = f"{node.value} is no plain number: write it as one, or in quotes as text"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
        known[node] = 1
        return 1
    parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
    known[node] = 1 + sum(_values(part, known) for part in parts)
    return known[node]
