"""What commands share on the command line: the settings as flags, and forms of values."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from littoral.site.settings import TABLE, Loaded, load

# By which a command finds its place; its help shows these, and what it takes beside them only ``littoral up --help``.
FEW: Final = frozenset(("name", "data_dir", "host", "port", "region"))


class Parser(argparse.ArgumentParser):
    """One that makes the flags of the settings once it is used: some forty commands have them, and one is typed."""

    make_flags: Callable[[Parser], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        make, self.make_flags = self.make_flags, None
        if make is not None:
            make(self)
            self._refuse_unknown(args)
        return super().parse_known_args(args, namespace)

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Before argparse takes what follows a mistyped flag for something else, and refuses that."""
        known = [flag for action in self._actions for flag in action.option_strings]
        for word in takewhile(lambda each: each != "--", words):
            name = word.partition("=")[0]
            if name.startswith("--") and not any(flag.startswith(name) for flag in known):
                meant = get_close_matches(name, known, 1)
                self.error(f"there is no {name}" + (f"; did you mean {meant[0]}?" if meant else ""))


def settings_flags(parser: Parser, *, shown: bool = False) -> None:
    """Let this command take every setting as a flag. With ``shown`` its help explains them all."""
    parser.make_flags = partial(_make_flags, shown=shown)


def shows(parser: Parser, run: Callable[..., int]) -> None:
    """It prints what ``run`` finds, for people or (``--json``) for programs."""
    parser.add_argument("--json", action="store_true", help="as JSON")
    settings_flags(parser)
    parser.set_defaults(command=lambda options: run(settings_of(options), as_json=options.json))


def _make_flags(parser: argparse.ArgumentParser, *, shown: bool) -> None:
    others = None if shown else "and every other setting of a place: littoral up --help"
    flags = parser.add_argument_group("settings", others)
    flags.add_argument("--config", metavar="FILE", help="TOML file with settings")
    for row in TABLE:
        if row.flag is not None:
            default = row.default_text.replace("`", "")
            meaning = row.meaning.replace("`", "")
            taken: dict[str, Any] = {"metavar": row.name.rpartition("_")[2].upper()}
            if row.name.startswith("insecure_"):  # such a flag says all by itself
                taken = {"action": "store_const", "const": "on"}
            words = f"{meaning} (default: {default})".replace("%", "%%")
            told = shown or row.name in FEW
            flags.add_argument(row.flag, dest=row.name, help=words if told else argparse.SUPPRESS, **taken)


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
