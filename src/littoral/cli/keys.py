"""``littoral keys``: further access keys of a place, which may do what bucket policies grant."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from littoral.cli.asking import Failed, ask, is_box
from littoral.cli.flags import settings_flags, settings_of
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

PATH = "/_littoral/keys"


def show(loaded: Loaded) -> int:
    """Raises Failed, as the others here."""
    lines = [("access key", "of")]
    lines += [(key["id"], _of(key)) for key in _asked(loaded, PATH)["keys"]]
    none = "there are no further keys yet: littoral keys create\n"
    print("".join(aligned(lines, 2)) if len(lines) > 1 else none, end="")
    return 0


def create(loaded: Loaded, *, user: str | None, account: str | None) -> int:
    """Print the key and, this once, its secret, in AWS's own form."""
    wanted = {"account": account} if account else {"user": user}
    made = _asked(loaded, PATH, method="POST", document=wanted)
    print(f"[{made['user'] or made['account']}]")
    print(f"aws_access_key_id = {made['id']}\naws_secret_access_key = {made['secret']}")
    return 0


def delete(loaded: Loaded, key: str) -> int:
    _asked(loaded, f"{PATH}?id={quote(key)}", method="DELETE")
    return 0


def _asked(loaded: Loaded, target: str, *, method: str = "GET", document: Any = None) -> Any:
    if is_box(loaded):
        raise Failed("a box has no further keys; its own come with its manifest: littoral box credentials shows them")
    return ask(loaded, target, service="littoral", method=method, document=document)


def _of(key: dict[str, str]) -> str:
    return f"user {key['user']}" if key["user"] else f"account {key['account']}"


def add(commands: Any) -> None:
    group = commands.add_parser(
        "keys",
        help="further access keys, which may do what bucket policies grant",
        description="Access keys beside the place's own. A user's key may do what bucket policies grant it; a key of "
        "another account has S3 buckets of its own.",
    )
    within = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    shown = within.add_parser("list", help="whose keys there are")
    shown.set_defaults(command=lambda options: show(settings_of(options)))
    made = within.add_parser("create", help="make a key and print it, its secret this once")
    whose = made.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", metavar="NAME", help="a user of the place's account: arn:aws:iam::ACCOUNT:user/NAME")
    whose.add_argument("--of-account", metavar="ACCOUNT", help="another account (twelve digits)")
    made.set_defaults(
        command=lambda options: create(settings_of(options), user=options.user, account=options.of_account)
    )
    removed = within.add_parser("delete", help="take a key away, at once")
    removed.add_argument("key", metavar="KEY", help="its id: AKIA…")
    removed.set_defaults(command=lambda options: delete(settings_of(options), options.key))
    for each in (shown, made, removed):
        settings_flags(each)
