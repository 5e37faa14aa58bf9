"""littoral.ModelServer as a deployment configures it: who brings a model, and its topics. Pure.

::

    {"models": {"ward": {"component": "ward.model", "in": "ward/bed/+/window", "out": "ward/bed/$1/rhythm",
                         "trial": {"questions": 50, "samples": "samples.jsonl", "mean": 0.05}}}}

The file is an artifact of that component's version in the same deployment, so it comes, is verified, stays and goes as
artifacts do. ``placed`` adds where it lies.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from littoral.core.modelserver.comparing import Bounds, bounds_of
from littoral.core.nucleus.recipe import Artifact, Generic
from littoral.core.recipe import BadComponent
from littoral.protocols.mqtt.topics import BadTopic, check_filter, check_name

NAME: Final = "littoral.ModelServer"
SUFFIX: Final = ".onnx"
SIGNATURE: Final = ".signature"  # behind the name of the model's file
_TEXTS: Final = {"component", "artifact", "in", "out", "registry"}
_MEMBERS: Final = _TEXTS | {"trial"}
_PART: Final = re.compile(r"\$([0-9]+)")


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    component: str
    artifact: str  # the name of its file; "" for the only one that ends with .onnx
    asked: str  # a filter
    answers: str  # a topic in which $1, $2 … are what the filter's wildcards matched
    registry: str = ""  # of what model of the registry it must be a signed version; "" for any file
    trial: Bounds | None = None  # of a new version, before it takes the place of the one that serves

    def topic_of(self, asked: str) -> str:
        """Where the answer to what came on that topic goes. Raises BadTopic where that may not be."""
        parts = _matched(self.asked, asked)
        found = _PART.sub(lambda part: parts[int(part[1]) - 1], self.answers)
        check_name(found)
        if found.startswith("$"):
            raise BadTopic("a topic that begins with $ is the place's own")
        return found


@dataclass(frozen=True, slots=True)
class Served:
    """A model, and the file that it is."""

    model: Model
    version: str  # of the component
    file: str  # below the folder of all artifacts
    sha256: str  # hexadecimal
    samples: str = ""  # below that folder, too; "" where its trial has none
    signature: str = ""  # likewise; "" where it need not be signed


def models_of(configuration: Mapping[str, Any]) -> tuple[Model, ...]:
    """Raises BadComponent."""
    if unknown := configuration.keys() - {"models"}:
        raise BadComponent(f"{NAME}: {', '.join(sorted(unknown))} is not there; models is")
    table = configuration.get("models", {})
    if not isinstance(table, dict):
        raise BadComponent(f"{NAME}: models must be an object")
    return tuple(_model(name, entry) for name, entry in table.items())


def placed(configuration: Mapping[str, Any], programs: Iterable[Generic]) -> dict[str, Any]:
    """With version, file and digest of each model, of the components that are deployed with it. Raises BadComponent."""
    made = {each.name: each for each in programs}
    table: dict[str, Any] = {}
    for model in models_of(configuration):
        component = made.get(model.component)
        if component is None:
            raise BadComponent(f"{NAME}: {model.name} is an artifact of {model.component}, which is not deployed")
        artifact = _artifact(model, component)
        table[model.name] = {
            **configuration["models"][model.name],
            "version": component.version,
            "file": f"{component.home}/{artifact.file}",
            "sha256": base64.b64decode(artifact.sha256).hex(),
            **_beside(model, component, artifact),
        }
    return {"models": table}


def served_of(configuration: Mapping[str, Any]) -> tuple[Served, ...]:
    """Of one that is ``placed``."""
    found = []
    for name, entry in configuration.get("models", {}).items():
        said = {key: each for key, each in entry.items() if key in _MEMBERS}
        beside = [entry.get(key, "") for key in ("samples", "signature")]
        found.append(Served(_model(name, said), entry["version"], entry["file"], entry["sha256"], *beside))
    return tuple(found)


def _beside(model: Model, component: Generic, artifact: Artifact) -> dict[str, str]:
    """Where the other files are that come with it. Raises BadComponent."""
    wanted = {
        "samples": model.trial.samples if model.trial is not None else "",
        "signature": artifact.file + SIGNATURE if model.registry else "",
    }
    files = {each.file for each in component.artifacts if not each.unpack}
    for name in wanted.values():
        if name and name not in files:
            raise BadComponent(f"{NAME}: {model.name}: {component.name} {component.version} has no artifact {name}")
    return {key: f"{component.home}/{name}" for key, name in wanted.items() if name}


def _artifact(model: Model, component: Generic) -> Artifact:
    files = [each for each in component.artifacts if not each.unpack]
    if model.artifact:
        found = [each for each in files if each.file == model.artifact]
    else:
        found = [each for each in files if each.file.endswith(SUFFIX)]
    if len(found) != 1:
        whole = f"{component.name} {component.version}"
        wanted = (
            f"no artifact {model.artifact}" if model.artifact else f"not one artifact *{SUFFIX}: name it (artifact)"
        )
        raise BadComponent(f"{NAME}: {model.name}: {whole} has {wanted}")
    return found[0]


def _model(name: str, entry: Any) -> Model:
    if (
        not isinstance(entry, dict)
        or entry.keys() - _MEMBERS
        or not all(isinstance(entry.get(key, ""), str) for key in _TEXTS)
    ):
        text = "must have component, in, out and at most artifact and registry, all of them texts, and trial"
        raise BadComponent(f"{NAME}: {name} {text}")
    component, asked, answers = (entry.get(key, "") for key in ("component", "in", "out"))
    if not component:
        raise BadComponent(f"{NAME}: {name} must name the component whose artifact it is")
    try:
        check_filter(asked)
        check_name(answers)
    except BadTopic as problem:
        raise BadComponent(f"{NAME}: the topics of {name}: {problem}") from problem
    wildcards = len(_matched(asked, asked))
    if any(not 1 <= int(part) <= wildcards for part in _PART.findall(answers)):
        raise BadComponent(f"{NAME}: the out of {name} has $ and a number that no wildcard of its in has")
    if asked.startswith("$") or (answers.startswith("$") and not _PART.match(answers)):
        raise BadComponent(f"{NAME}: the topics of {name}: those that begin with $ are the place's own")
    more = entry.get("registry", ""), bounds_of(name, entry.get("trial"))
    return Model(name, component, entry.get("artifact", ""), asked, answers, *more)


def _matched(filter: str, topic: str) -> list[str]:
    """What each wildcard of the filter is in a topic that it matches."""
    levels = topic.split("/")
    found = []
    for index, level in enumerate(filter.split("/")):
        if level == "+":
            found.append(levels[index])
        elif level == "#":
            found.append("/".join(levels[index:]))
    return found
