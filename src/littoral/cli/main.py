"""``littoral``: what a person types.

Owns: commands and one-line errors. Knows no capability; of the commands the one that is typed is imported, and what
runs a place when a place is run. Exit codes: 0, 1 for what failed, 2 for wrong usage or settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from littoral.cli.asking import Failed
from littoral.cli.flags import Parser
from littoral.site.settings import SettingsError

# A command, and the module whose ``add`` makes its parser; in the order of the help.
MODULES: Final[Mapping[str, str]] = {
    "up": "up",
    "credentials": "credentials",
    "backup": "backup",
    "keys": "keys",
    "objects": "objectcommands",
    "usage": "usage",
    "sites": "sites",
    "things": "things",
    "core": "corecommands",
    "models": "models",
    "train": "train",
    "worker": "worker",
    "box": "boxcommands",
    "doctor": "doctor",
    "coverage": "coverage",
    "settings": "settings",
}

EPILOG = """\
examples:
  littoral up                              a region with an edge location on this machine
  eval $(littoral credentials --export)    keys and endpoint for the AWS CLI, boto3, Terraform
  littoral up core --name ward7 --upstream mqtts://region.example:8883 \\
      --certificate ward7.crt --private-key ward7.key --ca region-ca.pem
  littoral usage --since 7d                what functions used
  littoral backup monday                   a copy of the place as of now, while it runs
  littoral sites                           which edge location has what
  littoral things watch                    devices, messages a second, refusals
  littoral core status                     the core on this device
  littoral box status                      the box on this machine
  littoral train train.py --data ./data    a training job, followed
  littoral worker ls                       machines that offer hosts for training jobs
  littoral tour                            the main job end to end, checked, in a minute
  littoral drill outage                    a hospital without its link for hours, checked, in three minutes

Every setting is a flag, a LITTORAL_* variable or a key of the TOML file: littoral settings.
"""

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["tour"]:
        return _tour(words[1:])
    if words[:1] == ["drill"]:
        return _drill(words[1:])
    options = parser(words[0] if words else "").parse_args(words)
    command: Command = options.command
    try:
        return command(options)
    except SettingsError as error:
        print(f"littoral: {error}", file=sys.stderr)
        return 2
    except Failed as error:
        print(f"littoral: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # of a command that has nothing to say of it
        print("littoral: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `littoral coverage | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser(word: str) -> argparse.ArgumentParser:
    """Of the command ``word`` alone; of all where it is none, as for the help and for what is mistyped."""
    options = Parser(
        prog="littoral",
        description="An edge cloud that you own: region, edge location, core and box in one, through AWS protocols.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = options.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [word] if word in MODULES else MODULES:
        import_module(f"littoral.cli.{MODULES[name]}").add(commands)
    if word not in MODULES:
        _add_others(commands)
    return options


def _add_others(commands: Any) -> None:
    version = commands.add_parser("version", help="the version", description="Print the version.")
    version.set_defaults(command=_version)
    commands.add_parser("drill", help="a bad day, tried and checked (littoral drill outage --help)", add_help=False)
    commands.add_parser("tour", help="the main job end to end, checked (littoral tour --help)", add_help=False)


def _tour(words: Sequence[str]) -> int:
    from littoral.tour.main import run as tour

    try:
        return tour(words)
    except ModuleNotFoundError as error:
        print(f"littoral: the tour needs {error.name}: pip install 'littoral[tour]'", file=sys.stderr)
        return 1


def _drill(words: Sequence[str]) -> int:
    try:
        from littoral.drills.main import run as drill
    except ModuleNotFoundError as error:
        print(f"littoral: a drill needs {error.name}: pip install 'littoral[tour]'", file=sys.stderr)
        return 1
    return drill(words)


def _version(_: argparse.Namespace) -> int:
    from importlib.metadata import version

    print(f"littoral {version('littoral')}")
    return 0
