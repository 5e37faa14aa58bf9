"""``littoral core deploy`` and its like: deployments made on the device, as with ``greengrass-cli``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from littoral.cli.asking import Failed
from littoral.cli.core import FAILED, asked
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

LOOKS = 0.2  # seconds
RESTARTS = 60.0  # seconds that a core may take to be back


@dataclass(frozen=True, slots=True)
class Deploying:
    """As it was typed."""

    recipes: Path | None
    artifacts: Path | None
    merge: Sequence[tuple[str, str]]
    remove: Sequence[str]
    update: str
    run_with: Sequence[tuple[str, str]]
    limits: str
    group: str
    failure: str

    def request(self) -> dict[str, Any]:
        """CreateLocalDeployment's document. Raises Failed."""
        run_with: dict[str, dict[str, Any]] = {}
        for what, user in self.run_with:
            name, _, kind = what.rpartition(":")
            if kind != "posixUser" or not name:
                raise Failed("--run-with takes COMPONENT:posixUser=USER[:GROUP]")
            run_with.setdefault(name, {})["posixUser"] = user
        for name, each in _json(self.limits, "--system-limits").items():
            run_with.setdefault(name, {})["systemResourceLimits"] = each
        given = {
            "recipeDirectoryPath": self.recipes and str(self.recipes.resolve()),
            "artifactsDirectoryPath": self.artifacts and str(self.artifacts.resolve()),
            "rootComponentVersionsToAdd": dict(self.merge),
            "rootComponentsToRemove": [name for each in self.remove for name in each.split(",") if name],
            "componentToConfiguration": _json(self.update, "--update-config"),
            "componentToRunWithInfo": run_with,
            "groupName": self.group,
            "failureHandlingPolicy": self.failure,
        }
        return {name: each for name, each in given.items() if each}


def deploy(loaded: Loaded, typed: Deploying, *, wait: bool) -> int:
    """Exit code 0; 3 where it failed."""
    answer = json.loads(asked(loaded, "POST", "/deployments", json.dumps(typed.request()).encode()))
    identifier = answer["deploymentId"]
    print(f"local deployment {identifier}", flush=True)
    answered = time.monotonic()
    while wait:
        try:
            found = next((each for each in _made(loaded) if each["id"] == identifier), None)
            answered = time.monotonic()
        except Failed:  # a bootstrap step may have asked for a restart of the core
            if time.monotonic() > answered + RESTARTS:
                raise
            time.sleep(LOOKS)
            continue
        if found is None:
            raise Failed(f"{identifier} is forgotten: later ones have ended meanwhile")
        if found["status"] not in ("QUEUED", "IN_PROGRESS"):
            print(f"{found['status']} {found['reason']}".strip())
            return 3 if found["status"] in FAILED else 0
        time.sleep(LOOKS)
    return 0


def deployments(loaded: Loaded, *, as_json: bool) -> int:
    made = _made(loaded)
    lines = [(each["id"], each["status"], each["reason"]) for each in made]
    said = "".join(aligned(lines, 3)) or "none was made here\n"
    sys.stdout.write(json.dumps(made, indent=2) + "\n" if as_json else said)
    return 0


def cancel(loaded: Loaded, identifier: str) -> int:
    asked(loaded, "POST", f"/deployments/{quote(identifier, safe='')}/cancel")
    print(f"{identifier}: canceled")
    return 0


def _made(loaded: Loaded) -> list[dict[str, Any]]:
    """Those that the core knows, the latest first. Raises Failed."""
    found: list[dict[str, Any]] = json.loads(asked(loaded, "GET", "/status"))["deployment"]["local"]
    return found


def _json(text: str, flag: str) -> dict[str, Any]:
    """JSON, or a file that holds it. Raises Failed."""
    try:
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).read_bytes()) if text else {}
    except (OSError, ValueError) as problem:
        raise Failed(f"{flag} takes a JSON object or a file with one: {problem}") from None
    if not isinstance(found, dict):
        raise Failed(f"{flag} takes a JSON object or a file with one")
    return found
