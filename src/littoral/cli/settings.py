"""``littoral settings``: the settings that hold, or the table for the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from littoral.cli.flags import settings_flags, settings_of
from littoral.site.settings import TABLE, Loaded, Row

INTRODUCTION = """\
# Settings

Made by `littoral settings --markdown`; a test fails when this page and the table in
`src/littoral/site/settings/table.py` differ.

A value comes from the first of: its flag, its variable, its key in the TOML file, its default. The file is `--config
FILE` (or `LITTORAL_CONFIG`), else `$XDG_CONFIG_HOME/littoral/littoral.toml` where there is one. A key of the file that
is no setting is an error, a `LITTORAL_*` variable that is none a warning. `littoral settings` prints what holds, and
why.

The kind of place is the argument of `littoral up`. A secret has no flag, because a command line can be read by every
user of the machine. Port 0 takes any free port; `off` leaves a listener out. The addresses in use are printed at start
and lie in `listeners.json` in the data folder while the place runs.

```toml
# littoral.toml
name = "ward7"
edge_port = "off"
log_format = "json"
```

| flag | variable | TOML key | value | default | meaning |
|---|---|---|---|---|---|
"""


def run(loaded: Loaded | None) -> int:
    """Print the settings, or without them the page docs/settings.md."""
    print(markdown() if loaded is None else described(loaded), end="")
    return 0


def markdown() -> str:
    return INTRODUCTION + "".join(_line(row) for row in TABLE)


def _line(row: Row) -> str:
    flag = "`up KIND`" if row.word else f"`{row.flag}`" if row.flag else "–"
    variables = " or ".join(f"`{name}`" for name in (row.variable, row.also) if name)
    return f"| {flag} | {variables} | `{row.name}` | {row.kind.shown} | {row.default_text} | {row.meaning} |\n"


def described(loaded: Loaded) -> str:
    """One line a setting: name, value, source. Secrets are not shown."""
    lines = []
    for row in TABLE:
        value = getattr(loaded.settings, row.name)
        text = ("set" if value else "none") if row.secret else _text(value, port=row.kind.shown == "port or off")
        lines.append((row.name.replace("_", "-"), text, loaded.sources[row.name]))
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    return "".join(f"{name:<{widths[0]}}  {text:<{widths[1]}}  {source}\n" for name, text, source in lines)


def _text(value: Any, *, port: bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value in ("", Path()):
        return "off" if port else "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def add(commands: Any) -> None:
    command = commands.add_parser(
        "settings", help="what is set, and from where", description="Print every setting, its value and its source."
    )
    command.add_argument("--markdown", action="store_true", help="the table of docs/settings.md instead")
    settings_flags(command)
    command.set_defaults(command=lambda options: run(None if options.markdown else settings_of(options)))
