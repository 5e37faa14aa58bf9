"""``littoral keys``: further access keys of a place, which may do what bucket policies grant."""

from __future__ import annotations

from urllib.parse import quote

from littoral.cli.asking import ask
from littoral.cli.table import aligned
from littoral.site.settings import Loaded

PATH = "/_littoral/keys"


def show(loaded: Loaded) -> int:
    """Raises Failed, as the others here."""
    lines = [("access key", "of")]
    lines += [(key["id"], _of(key)) for key in ask(loaded, PATH, service="littoral")["keys"]]
    print("".join(aligned(lines, 2)), end="")
    return 0


def create(loaded: Loaded, *, user: str | None, account: str | None) -> int:
    """Print the key and, this once, its secret, in AWS's own form."""
    wanted = {"account": account} if account else {"user": user}
    made = ask(loaded, PATH, service="littoral", method="POST", document=wanted)
    print(f"[{made['user'] or made['account']}]")
    print(f"aws_access_key_id = {made['id']}\naws_secret_access_key = {made['secret']}")
    return 0


def delete(loaded: Loaded, key: str) -> int:
    ask(loaded, f"{PATH}?id={quote(key)}", service="littoral", method="DELETE")
    return 0


def _of(key: dict[str, str]) -> str:
    return f"user {key['user']}" if key["user"] else f"account {key['account']}"
