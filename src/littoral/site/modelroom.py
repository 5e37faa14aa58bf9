"""The room in which a model's process is: it sees Python and libraries, and nothing of the place."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import littoral
from littoral.models.serving.process import Limits
from littoral.site.settings import Settings

READER = Path(__file__).parents[1] / "functions/isolation/reader.py"
SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/ld.so.conf", "/proc", "/sys/devices", "/sys/bus")


def limits_of(settings: Settings) -> Limits:
    return Limits(
        settings.models_memory * 1024 * 1024,
        settings.models_threads or 0,
        settings.models_processors or 0,
        settings.models_processes or 0,
    )


def confined(command: Sequence[str]) -> list[str]:
    """A model's process, that reads Python, its packages and what the system has of libraries; devices are GPUs'."""
    python = {sys.prefix, sys.exec_prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
    packages = {str(Path(littoral.__file__).parents[1]), *(each for each in sys.path if each.endswith("-packages"))}
    plan = {
        "read": sorted(python | packages | set(SYSTEM)),
        "use": ["/dev/null", "/dev/urandom", "/dev/zero", *map(str, sorted(Path("/dev").glob("nvidia*")))],
    }
    return [sys.executable, "-I", "-S", str(READER), json.dumps(plan), *command]


def unconfined(command: Sequence[str]) -> Sequence[str]:
    """With ``--insecure-no-sandbox``."""
    return command
