"""The fence around a core's programs: what of this device they must not see, and what keeps them from it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from littoral.core.ports import Fence
from littoral.site.settings import Settings

LAUNCHER = Path(__file__).parents[1] / "functions/isolation/fence.py"


def fence_of(settings: Settings) -> Fence:
    """Hidden are the core's data folder, with everything of other components, and its key."""
    secret = (settings.private_key, settings.certificate, settings.upstream_credentials)
    return partial(_fenced, [settings.data_dir, *(each for each in secret if each is not None)])


def _fenced(hidden: Sequence[Path], own: Sequence[Path], read: Sequence[Path], command: Sequence[str]) -> list[str]:
    plan = {"hidden": [*map(str, hidden)], "own": [*map(str, own)], "read": [*map(str, read)]}
    return [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(plan), *command]
