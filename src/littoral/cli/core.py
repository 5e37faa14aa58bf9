"""``littoral core``: what an operator does on the device, link or no link, over the core's own Unix socket."""

from __future__ import annotations

import http.client
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from littoral.cli import local
from littoral.cli.asking import Failed
from littoral.cli.sites import ago
from littoral.cli.table import aligned
from littoral.protocols.mqtt.topics import BadTopic, check_filter, matches
from littoral.site.settings import Loaded

FAILED = ("FAILED", "REJECTED")
SOCKET, TOKEN = "operator.socket", "operator.token"


def status(loaded: Loaded, *, as_json: bool) -> int:
    """Exit code 0; 1 where the core does not answer; 3 where a component is broken or the last deployment failed."""
    found = json.loads(asked(loaded, "GET", "/status"))
    print(json.dumps(found, indent=2) if as_json else summary(found), end="\n" if as_json else "")
    of = found["deployment"]
    failed = any(each.get("status") in FAILED for each in (of["outcome"], of["group"], *of["local"][:1]))
    return 3 if failed or any(each["state"] == "BROKEN" for each in found["components"]) else 0


def components(loaded: Loaded, *, as_json: bool) -> int:
    found = json.loads(asked(loaded, "GET", "/status"))["components"]
    print(json.dumps(found, indent=2) if as_json else table(found), end="\n" if as_json else "")
    return 0


def logs(loaded: Loaded, component: str, lines: int) -> int:
    question = urlencode({"component": component, "lines": lines})
    sys.stdout.write(asked(loaded, "GET", f"/logs?{question}").decode("utf-8", "replace"))
    return 0


def act(loaded: Loaded, component: str, action: str) -> int:
    """``restart`` or ``stop`` a component."""
    asked(loaded, "POST", f"/components/{quote(component, safe='')}/{action}")
    print(f"{component}: {action}{'p' if action == 'stop' else ''}ed")
    return 0


def rejected(loaded: Loaded, filter: str, *, as_json: bool) -> int:
    """What is set aside. Raises Failed."""
    try:
        check_filter(filter)
    except BadTopic as problem:
        raise Failed(f"--topic {filter}: {problem}") from None
    listed = json.loads(asked(loaded, "GET", "/rejected"))
    found = [each for each in listed if matches(filter, each["topic"])]
    if as_json:
        print(json.dumps(found, indent=2))
        return 0
    lines = [("number", "topic", "bytes", "since", "why")]
    for each in found:
        since = ago(time.time() - each["at"])
        lines.append((str(each["sequence"]), each["topic"], str(each["size"]), since, each["reason"]))
    print("".join(aligned(lines, 5)) if found else "nothing is set aside\n", end="")
    return 0


def rejected_payload(loaded: Loaded, number: int) -> int:
    sys.stdout.buffer.write(asked(loaded, "GET", f"/rejected/{number}"))
    return 0


def rejected_act(loaded: Loaded, filter: str, action: str) -> int:
    """``retry`` or ``drop`` what is set aside."""
    done = json.loads(asked(loaded, "POST", f"/rejected/{action}?{urlencode({'topic': filter})}"))["messages"]
    words = "put back into the spool" if action == "retry" else "dropped"
    print(f"{done} message{'' if done == 1 else 's'} {words}")
    return 0


def summary(found: Any) -> str:
    """The status for people."""
    link, spool, outcome = found["link"], found["spool"], found["deployment"]["outcome"]
    lines = [
        ("core", f"{found['name']}, process {found['pid']}, started {ago(found['seconds'])}"),
        ("link", linked(link)),
        ("spool", f"{spool['pending']} waiting, {spool['dropped']} dropped, {spool['setAside']} set aside"),
        *([("denied", ", ".join(spool["denied"]))] if spool["denied"] else []),
        ("deployment", f"{outcome['status']} {outcome['arn']} {outcome['reason']}".strip() if outcome else "none yet"),
    ]
    if group := found["deployment"]["group"]:
        lines.append(("of a group", f"{group['status']} {group['id']} {group['reason']}".strip()))
    if made := found["deployment"]["local"]:
        lines.append(("made here", f"{made[0]['status']} {made[0]['id']} {made[0]['reason']}".strip()))
    return "".join(aligned(lines, 2)) + table(found["components"])


def linked(link: dict[str, Any]) -> str:
    """How long it is up, or down and why."""
    lasts = ago(link["seconds"]).removesuffix(" ago")
    return (
        f"up for {lasts}" if link["connected"] else f"down for {lasts}: {link['last_problem'] or 'not yet connected'}"
    )


def table(found: list[dict[str, str]]) -> str:
    """A line for each component."""
    lines = [("component", "version", "state"), *((each["name"], each["version"], each["state"]) for each in found)]
    return "".join(aligned(lines, 3)) if found else "no components\n"


def asked(loaded: Loaded, method: str, target: str, body: bytes | None = None) -> bytes:
    """Raises Failed."""
    folder = loaded.settings.data_dir
    if loaded.sources["data_dir"] == loaded.sources["name"] == "default":
        folder = the_only_core(folder.parent)
    try:
        token = {"authorization": (folder / TOKEN).read_text()}
        return local.asked(folder / SOCKET, method, target, body, token)
    except (OSError, http.client.HTTPException) as problem:
        raise Failed(f"no core answers in {folder}: {problem}; start it, or name it with --name") from None


def the_only_core(folder: Path) -> Path:
    """The data folder of the one core that runs here. Raises Failed."""
    found = sorted(each.parent for each in folder.glob(f"*/{SOCKET}"))
    if len(found) != 1:
        names = ", ".join(each.name for each in found)
        raise Failed(f"cores that run here: {names or 'none'}; name one with --name or --data-dir")
    return found[0]
