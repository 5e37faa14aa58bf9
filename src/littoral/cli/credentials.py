"""``littoral credentials``: the access keys that a place made at its first start, for people and for shells.

The place keeps them in ``credentials`` in its data folder (mode 0600, AWS's own form).
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from littoral.cli.flags import settings_flags, settings_of
from littoral.site.settings import Loaded, Settings, SettingsError, read_credentials

CREDENTIALS_FILE = "credentials"
LISTENERS_FILE = "listeners.json"


def run(loaded: Loaded, *, export: bool) -> int:
    settings = loaded.settings
    file = settings.data_dir / CREDENTIALS_FILE
    if not file.exists():
        hint = "start the place first (littoral up); a box's are told by littoral box credentials"
        print(f"littoral: no credentials in {settings.data_dir}: {hint}", file=sys.stderr)
        return 1
    try:
        access, secret = read_credentials(file)
    except SettingsError as error:
        print(f"littoral: {error}", file=sys.stderr)
        return 1
    if not export:
        print(f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}")
        return 0
    variables = {
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_REGION": settings.region,  # the only one that AWS's SDKs for JavaScript, Go, Java and Rust heed
    }
    url = endpoint(settings, loaded.sources)
    if url is not None:
        variables["AWS_ENDPOINT_URL"] = url
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)};")
    return 0


def endpoint(settings: Settings, sources: Mapping[str, str]) -> str | None:
    """Where the place listens: as told, else as the running place wrote it down, else by default."""
    running = _running(settings.data_dir / LISTENERS_FILE) if sources["port"] == "default" else None
    if running is not None:
        return running
    if settings.port is None:
        return None
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _running(file: Path) -> str | None:
    try:
        url = json.loads(file.read_text("utf-8")).get("api")
    except (OSError, ValueError):
        return None
    return url if isinstance(url, str) else None


def add(commands: Any) -> None:
    command = commands.add_parser(
        "credentials", help="the access keys of a place", description="Print the access keys of a place."
    )
    command.add_argument("--export", action="store_true", help="as shell commands, with region and endpoint, for eval")
    settings_flags(command)
    command.set_defaults(command=lambda options: run(settings_of(options), export=options.export))
