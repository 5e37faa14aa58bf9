"""What commands share on the command line: the settings as flags, and forms of values."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from littoral.site.settings import TABLE, Loaded, load


class Parser(argparse.ArgumentParser):
    """One that makes the flags of the settings once it is used: some forty commands have them, and one is typed."""

    with_settings = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.with_settings:
            self.with_settings = False
            _add_settings(self)
        return super().parse_known_args(args, namespace)


def settings_flags(parser: Parser) -> None:
    """Let this command take every setting as a flag."""
    parser.with_settings = True


def _add_settings(parser: argparse.ArgumentParser) -> None:
    flags = parser.add_argument_group("settings")
    flags.add_argument("--config", metavar="FILE", help="TOML file with settings")
    for row in TABLE:
        if row.flag is not None:
            default = row.default_text.replace("`", "")
            meaning = row.meaning.replace("`", "")
            taken: dict[str, Any] = {"metavar": row.name.rpartition("_")[2].upper()}
            if row.name.startswith("insecure_"):  # such a flag says all by itself
                taken = {"action": "store_const", "const": "on"}
            words = f"{meaning} (default: {default})".replace("%", "%%")
            flags.add_argument(row.flag, dest=row.name, help=words, **taken)


def settings_of(options: argparse.Namespace) -> Loaded:
    names = ["config", *(row.name for row in TABLE)]
    flags = {name: getattr(options, name, None) for name in names}
    found = load(flags, os.environ, Path.home())
    for warning in found.warnings:
        print(f"littoral: {warning}", file=sys.stderr)
    return found


def pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError("KEY=VALUE")
    return key, value


def seconds(text: str) -> float:
    found = float(text)
    if not 0.1 <= found <= 3600:
        raise argparse.ArgumentTypeError("from 0.1 to 3600 seconds")
    return found


def times(text: str) -> int:
    found = int(text)
    if found < 1:
        raise argparse.ArgumentTypeError("one or more")
    return found
