"""``littoral``: what a person types.

Owns: commands, their flags (made from the settings table) and one-line errors. Knows no capability; what runs a
place is imported when a place is run. Exit codes: 0, 1 for what failed, 2 for wrong usage or settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from littoral.cli import (
    backup,
    boxcommands,
    corecommands,
    coverage,
    credentials,
    doctor,
    keys,
    models,
    objectcommands,
    settings,
    sites,
    things,
    train,
    usage,
)
from littoral.cli.asking import Failed
from littoral.cli.flags import settings_flags, settings_of
from littoral.site.settings import KINDS, SettingsError, check_runnable

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
    options = _parser().parse_args(words)
    command: Command = options.command
    try:
        return command(options)
    except SettingsError as error:
        print(f"littoral: {error}", file=sys.stderr)
        return 2
    except Failed as error:
        print(f"littoral: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `littoral coverage | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="littoral",
        description="An edge cloud that you own: region, edge location and core in one program, through AWS protocols.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    up = commands.add_parser(
        "up", help="run a place until SIGTERM or Ctrl-C", description="Run a place until SIGTERM or Ctrl-C."
    )
    up.add_argument(
        "kind", nargs="?", choices=KINDS, metavar="KIND", help="region, edge, core or box; without one, region and edge"
    )
    settings_flags(up)
    up.set_defaults(command=_up)

    own = commands.add_parser(
        "credentials", help="the access keys of a place", description="Print the access keys of a place."
    )
    own.add_argument("--export", action="store_true", help="as shell commands, with region and endpoint, for eval")
    settings_flags(own)
    own.set_defaults(command=lambda options: credentials.run(settings_of(options), export=options.export))

    backup.add(commands)
    keys.add(commands)
    objectcommands.add(commands)

    used = commands.add_parser(
        "usage",
        help="what functions used",
        description="Print what the functions of a place used: requests, billed time, GB-seconds (days are UTC)",
    )
    used.add_argument("--since", metavar="DAY", help="2026-11-01, or 7d for the last seven days (default: 30d)")
    used.add_argument("--until", metavar="DAY", help="the last day (default: today)")
    used.add_argument("--by-day", action="store_true", help="a line for each day and function")
    used.add_argument("--json", action="store_true", help="everything, as JSON")
    settings_flags(used)
    used.set_defaults(command=lambda options: usage.run(settings_of(options), usage.Asked.of(options)))

    located = commands.add_parser(
        "sites",
        help="the edge locations, and which function runs where",
        description="Print the edge locations of a region: whether each is current, behind or lost, and which "
        "function versions it holds.",
    )
    located.add_argument("--json", action="store_true", help="as JSON")
    settings_flags(located)
    located.set_defaults(command=lambda options: sites.run(settings_of(options), as_json=options.json))

    things.add(commands)
    corecommands.add(commands)
    models.add(commands)
    train.add(commands)
    boxcommands.add(commands)

    checked = commands.add_parser(
        "doctor",
        help="what isolates functions here",
        description="Run a function and print which layers keep it apart from the place and from other functions; "
        "exit code 1 when one that is needed is missing.",
    )
    checked.add_argument("--json", action="store_true", help="as JSON")
    settings_flags(checked)
    checked.set_defaults(command=lambda options: doctor.run(settings_of(options), as_json=options.json))

    covered = commands.add_parser(
        "coverage",
        help="which AWS operations are there",
        description="Print, per service, the operations that are there, those that are not, and the input fields "
        "that an operation does not honour.",
    )
    covered.add_argument("service", nargs="?", help="one service, as boto3 calls it (s3, lambda, iot, …)")
    covered.set_defaults(command=lambda options: coverage.run(options.service))

    table = commands.add_parser(
        "settings", help="what is set, and from where", description="Print every setting, its value and its source."
    )
    table.add_argument("--markdown", action="store_true", help="the table of docs/settings.md instead")
    settings_flags(table)
    table.set_defaults(
        command=lambda options: settings.run(None if options.markdown else settings_of(options)),
    )

    version = commands.add_parser("version", help="the version", description="Print the version.")
    version.set_defaults(command=_version)
    commands.add_parser("drill", help="a bad day, tried and checked (littoral drill outage --help)", add_help=False)
    commands.add_parser("tour", help="the main job end to end, checked (littoral tour --help)", add_help=False)
    return parser


def _up(options: argparse.Namespace) -> int:
    chosen = settings_of(options).settings
    check_runnable(chosen)
    from littoral.site.lifecycle import run
    from littoral.site.place import build

    return run(chosen, build)


def _tour(words: Sequence[str]) -> int:
    try:
        from littoral.tour.main import run as tour
    except ModuleNotFoundError as error:
        print(f"littoral: the tour needs {error.name}: pip install 'littoral[tour]'", file=sys.stderr)
        return 1
    return tour(words)


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
