"""``littoral``: what a person types.

Owns: commands, their flags (made from the settings table) and one-line errors. Knows no capability; what runs a
place is imported when a place is run. Exit codes: 0, 1 for what failed, 2 for wrong usage or settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from littoral.cli import (
    bundle,
    core,
    coverage,
    credentials,
    deploying,
    doctor,
    install,
    keys,
    settings,
    sites,
    things,
    usage,
)
from littoral.cli.asking import Failed
from littoral.site.settings import KINDS, TABLE, Loaded, SettingsError, check_runnable, load

EPILOG = """\
examples:
  littoral up                              a region with an edge location on this machine
  eval $(littoral credentials --export)    keys and endpoint for the AWS CLI, boto3, Terraform
  littoral up core --name ward7 --upstream mqtts://region.example:8883 \\
      --certificate ward7.crt --private-key ward7.key --ca region-ca.pem
  littoral usage --since 7d                what functions used
  littoral sites                           which edge location has what
  littoral things watch                    devices, messages a second, refusals
  littoral core status                     the core on this device
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
        "kind", nargs="?", choices=KINDS, metavar="KIND", help="region, edge or core; without one, region and edge"
    )
    _settings_flags(up)
    up.set_defaults(command=_up)

    own = commands.add_parser(
        "credentials", help="the access keys of a place", description="Print the access keys of a place."
    )
    own.add_argument("--export", action="store_true", help="as shell commands, with region and endpoint, for eval")
    _settings_flags(own)
    own.set_defaults(command=lambda options: credentials.run(_loaded(options), export=options.export))

    _keys(commands)

    used = commands.add_parser(
        "usage",
        help="what functions used",
        description="Print what the functions of a place used: requests, billed time, GB-seconds (days are UTC)",
    )
    used.add_argument("--since", metavar="DAY", help="2026-11-01, or 7d for the last seven days (default: 30d)")
    used.add_argument("--until", metavar="DAY", help="the last day (default: today)")
    used.add_argument("--by-day", action="store_true", help="a line for each day and function")
    used.add_argument("--json", action="store_true", help="everything, as JSON")
    _settings_flags(used)
    used.set_defaults(command=lambda options: usage.run(_loaded(options), usage.Asked.of(options)))

    located = commands.add_parser(
        "sites",
        help="the edge locations, and which function runs where",
        description="Print the edge locations of a region: whether each is current, behind or lost, and which "
        "function versions it holds.",
    )
    located.add_argument("--json", action="store_true", help="as JSON")
    _settings_flags(located)
    located.set_defaults(command=lambda options: sites.run(_loaded(options), as_json=options.json))

    _things(commands)
    _core(commands)

    checked = commands.add_parser(
        "doctor",
        help="what isolates functions here",
        description="Run a function and print which layers keep it apart from the place and from other functions; "
        "exit code 1 when one that is needed is missing.",
    )
    checked.add_argument("--json", action="store_true", help="as JSON")
    _settings_flags(checked)
    checked.set_defaults(command=lambda options: doctor.run(_loaded(options), as_json=options.json))

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
    _settings_flags(table)
    table.set_defaults(
        command=lambda options: settings.run(None if options.markdown else _loaded(options)),
    )

    version = commands.add_parser("version", help="the version", description="Print the version.")
    version.set_defaults(command=_version)
    commands.add_parser("drill", help="a bad day, tried and checked (littoral drill outage --help)", add_help=False)
    commands.add_parser("tour", help="the main job end to end, checked (littoral tour --help)", add_help=False)
    return parser


def _keys(commands: Any) -> None:
    group = commands.add_parser(
        "keys",
        help="further access keys, which may do what bucket policies grant",
        description="Access keys beside the place's own. A user's key may do what bucket policies grant it; a key of "
        "another account has S3 buckets of its own.",
    )
    within = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    shown = within.add_parser("list", help="whose keys there are")
    shown.set_defaults(command=lambda options: keys.show(_loaded(options)))
    made = within.add_parser("create", help="make a key and print it, its secret this once")
    whose = made.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", metavar="NAME", help="a user of the place's account: arn:aws:iam::ACCOUNT:user/NAME")
    whose.add_argument("--of-account", metavar="ACCOUNT", help="another account (twelve digits)")
    made.set_defaults(
        command=lambda options: keys.create(_loaded(options), user=options.user, account=options.of_account)
    )
    removed = within.add_parser("delete", help="take a key away, at once")
    removed.add_argument("key", metavar="KEY", help="its id: AKIA…")
    removed.set_defaults(command=lambda options: keys.delete(_loaded(options), options.key))
    for each in (shown, made, removed):
        _settings_flags(each)


def _things(commands: Any) -> None:
    parser = commands.add_parser(
        "things",
        help="who is connected, and what goes on",
        description="What goes on at the broker of a running place.",
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    watched = parts.add_parser(
        "watch",
        help="connections, rates, refusals and rules, until Ctrl-C",
        description="Connections, messages a second in and out, what was refused and why, and the busiest rules: in a "
        "terminal one picture that changes, in a pipe a line for each interval.",
    )
    watched.add_argument("--interval", type=_seconds, default=2.0, metavar="SECONDS", help="between looks (default: 2)")
    watched.add_argument("--count", type=_times, metavar="N", help="end after so many (default: never)")
    watched.add_argument("--json", action="store_true", help="a JSON object for each interval")
    _settings_flags(watched)
    watched.set_defaults(
        command=lambda options: things.watch(
            _loaded(options), interval=options.interval, count=options.count, as_json=options.json
        )
    )
    connected = parts.add_parser("clients", help="who is connected", description="Print who is connected.")
    connected.add_argument("--json", action="store_true", help="as JSON")
    _settings_flags(connected)
    connected.set_defaults(command=lambda options: things.clients(_loaded(options), as_json=options.json))


def _core(commands: Any) -> None:
    parser = commands.add_parser(
        "core",
        help="a core on this device: its state, its components",
        description="Ask the core that runs on this device, over its Unix socket: it answers with the link down, too.",
    )
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _core_setup(parts)
    shown = parts.add_parser(
        "status",
        help="link, spool, deployment, components",
        description="Print how the core is. Exit code 0; 1 when it does not answer; 3 when a component is broken or "
        "the last deployment failed.",
    )
    listed = parts.add_parser("components", help="components and their states", description="Print the components.")
    for each, command in ((shown, core.status), (listed, core.components)):
        each.add_argument("--json", action="store_true", help="as JSON")
        _settings_flags(each)
        each.set_defaults(command=lambda options, run=command: run(_loaded(options), as_json=options.json))
    read = parts.add_parser("logs", help="what a component said", description="Print a component's last lines.")
    read.add_argument("component", help="its name")
    read.add_argument("--lines", type=_times, default=100, metavar="N", help="the last so many (default: 100)")
    _settings_flags(read)
    read.set_defaults(command=lambda options: core.logs(_loaded(options), options.component, options.lines))
    _core_rejected(parts)
    for action, words in (("restart", "end a component and run it again"), ("stop", "end a component")):
        done = parts.add_parser(action, help=words, description=f"{words.capitalize()}.")
        done.add_argument("component", help="its name")
        _settings_flags(done)
        done.set_defaults(command=lambda options, what=action: core.act(_loaded(options), options.component, what))

    _core_deployments(parts)


def _core_deployments(parts: Any) -> None:
    made = parts.add_parser(
        "deploy",
        help="deploy from this device, link or no link",
        description="Make a local deployment, as greengrass-cli's deployment create does, and wait for its end. Exit "
        "code 0; 3 where it failed.",
    )
    made.add_argument("--recipe-dir", type=Path, metavar="DIR", help="of recipes, JSON or YAML")
    made.add_argument("--artifact-dir", type=Path, metavar="DIR", help="of artifacts: DIR/COMPONENT/VERSION/…")
    many: dict[str, Any] = {"action": "append", "default": []}
    made.add_argument("--merge", type=_pair, metavar="COMPONENT=VERSION", help="add, or change its version", **many)
    made.add_argument("--remove", metavar="COMPONENT,…", help="take away", **many)
    made.add_argument(
        "--update-config", default="", metavar="JSON", help='{"COMPONENT": {"MERGE": {…}, "RESET": [pointer, …]}}'
    )
    made.add_argument("--run-with", type=_pair, metavar="COMPONENT:posixUser=USER", help="its user", **many)
    made.add_argument(
        "--system-limits", default="", metavar="JSON", help='{"COMPONENT": {"cpus": 0.5, "memory": kilobytes}}'
    )
    made.add_argument("--group", default="", metavar="NAME", help="change the deployment to this thing group")
    made.add_argument("--failure-handling-policy", choices=("ROLLBACK", "DO_NOTHING"), default="ROLLBACK")
    made.add_argument("--no-wait", action="store_true", help="print its id and end")
    _settings_flags(made)
    made.set_defaults(command=_deploy)
    listed = parts.add_parser("deployments", help="the last ten made here", description="Print local deployments.")
    listed.add_argument("--json", action="store_true", help="as JSON")
    _settings_flags(listed)
    listed.set_defaults(command=lambda options: deploying.deployments(_loaded(options), as_json=options.json))
    ended = parts.add_parser("cancel", help="a local deployment that waits", description="Cancel one that waits.")
    ended.add_argument("deployment", help="its id")
    _settings_flags(ended)
    ended.set_defaults(command=lambda options: deploying.cancel(_loaded(options), options.deployment))


def _deploy(options: argparse.Namespace) -> int:
    typed = deploying.Deploying(
        options.recipe_dir,
        options.artifact_dir,
        options.merge,
        options.remove,
        options.update_config,
        options.run_with,
        options.system_limits,
        options.group,
        options.failure_handling_policy,
    )
    return deploying.deploy(_loaded(options), typed, wait=not options.no_wait)


def _core_rejected(parts: Any) -> None:
    parser = parts.add_parser(
        "rejected",
        help="messages that the place above did not take",
        description="List what the place above refused and the core set aside, or send it again, or drop it.",
    )
    parser.add_argument("--topic", default="#", metavar="FILTER", help="those of these topics (default: #)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--retry", action="store_const", dest="action", const="retry", help="send them again")
    what.add_argument("--drop", action="store_const", dest="action", const="drop", help="forget them")
    what.add_argument("--payload", type=_times, metavar="NUMBER", help="write that message's payload")
    what.add_argument("--json", action="store_true", help="as JSON")
    _settings_flags(parser)
    parser.set_defaults(command=_rejected)


def _rejected(options: Any) -> int:
    if options.action is not None:
        return core.rejected_act(_loaded(options), options.topic, options.action)
    if options.payload is not None:
        return core.rejected_payload(_loaded(options), options.payload)
    return core.rejected(_loaded(options), options.topic, as_json=options.json)


def _core_setup(parts: Any) -> None:
    packed = parts.add_parser(
        "bundle",
        help="in the region: a new core's identity in one file",
        description="In the region: make a thing, its certificate and its policy, and pack them into one file for the "
        "device, which installs it once.",
    )
    packed.add_argument("core", help="its name, and its thing's")
    packed.add_argument("--group", metavar="NAME", help="thing group that it joins, to get that group's deployments")
    packed.add_argument("--endpoint", metavar="URL", help="the region as the device reaches it: mqtts://HOST:8883")
    packed.add_argument("--out", type=Path, metavar="FILE", help="the file (default: NAME.bundle)")
    _settings_flags(packed)
    packed.set_defaults(
        command=lambda options: bundle.run(
            _loaded(options), options.core, group=options.group, endpoint=options.endpoint, out=options.out
        )
    )
    done = parts.add_parser(
        "install",
        help="on the device: make it a core",
        description="On the device: take a bundle, or make a key and claim a certificate with --upstream and --claim; "
        "write the configuration (0600) and a systemd unit. Other settings that are given stay the core's.",
    )
    done.add_argument("--bundle", type=Path, metavar="FILE", help="of littoral core bundle; removed once it is used")
    done.add_argument(
        "--claim", type=Path, metavar="PATH", help="folder with claim.crt and claim.key, or a claim's JSON"
    )
    done.add_argument("--template", default="", metavar="NAME", help="the provisioning template that the claim is for")
    done.add_argument(
        "--parameter", type=_pair, action="append", default=[], metavar="KEY=VALUE", help="of the template; repeatable"
    )
    done.add_argument("--no-unit", action="store_true", help="write no systemd unit")
    done.add_argument("--unit-folder", type=Path, metavar="DIR", help="where units are (default: systemd's own)")
    _settings_flags(done)
    done.set_defaults(command=_install)


def _install(options: argparse.Namespace) -> int:
    typed = install.Installing(
        options.bundle,
        options.claim,
        options.template,
        dict(options.parameter),
        unit=not options.no_unit,
        unit_folder=options.unit_folder,
    )
    return install.run(_loaded(options), typed, os.environ, Path.home())


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError("KEY=VALUE")
    return key, value


def _seconds(text: str) -> float:
    found = float(text)
    if not 0.1 <= found <= 3600:
        raise argparse.ArgumentTypeError("from 0.1 to 3600 seconds")
    return found


def _times(text: str) -> int:
    found = int(text)
    if found < 1:
        raise argparse.ArgumentTypeError("one or more")
    return found


def _settings_flags(parser: argparse.ArgumentParser) -> None:
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


def _loaded(options: argparse.Namespace) -> Loaded:
    names = ["config", *(row.name for row in TABLE)]
    flags = {name: getattr(options, name, None) for name in names}
    loaded = load(flags, os.environ, Path.home())
    for warning in loaded.warnings:
        print(f"littoral: {warning}", file=sys.stderr)
    return loaded


def _up(options: argparse.Namespace) -> int:
    chosen = _loaded(options).settings
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
