"""A recipe as text: JSON, or YAML as AWS's readers take it. Pure.

They know numbers, true and false, and nothing else that is not a text: ``RecipeFormatVersion: 2020-01-25`` holds no
date, ``12:30`` is no number of seconds, and ``off`` no truth.
"""

from __future__ import annotations

import json
import re
from typing import Any

_BOOL, _INT = re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")


def read(text: bytes) -> Any:
    """As JSON would give it. Raises ValueError."""
    import yaml  # here: some MiB of a core's memory, for those alone who deploy by hand

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Of which JSON is a part."""

    kept = ("null", "float", "merge")
    Loader.yaml_implicit_resolvers = {
        first: [each for each in known if each[0].rpartition(":")[2] in kept]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
    try:
        return json.loads(json.dumps(yaml.load(text, Loader)))  # noqa: S506 - it is a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as problem:
        raise ValueError(str(problem)) from problem


def as_json(recipe: Any) -> bytes:
    return json.dumps(recipe).encode()


def as_yaml(recipe: Any) -> bytes:
    """``read`` gives the same of it again."""
    import yaml

    return bytes(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, encoding="utf-8"))
