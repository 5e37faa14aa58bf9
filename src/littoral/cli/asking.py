"""A question to a running place, signed with the credentials in its data folder; of a box, which has none there, with
those that its control socket gives while it is unlocked."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from littoral.cli.credentials import CREDENTIALS_FILE, endpoint
from littoral.site.settings import Loaded, read_credentials

Keys = tuple[str, str, str]  # access key, secret, region
_NOTHING: Final[Mapping[str, str]] = {}


class Failed(Exception):
    """The place did not answer as hoped; the message is for people."""


def address(loaded: Loaded) -> str:
    """Where the place's API is. Raises Failed."""
    settings = loaded.settings
    url = endpoint(settings, loaded.sources)
    if url is None or not (settings.data_dir / CREDENTIALS_FILE).exists():
        raise Failed(f"no place with an API in {settings.data_dir}: start it first (littoral up)")
    return url


def is_box(loaded: Loaded) -> bool:
    from littoral.box.volume import FACTS

    return (loaded.settings.data_dir / FACTS).exists()


def reached(loaded: Loaded) -> tuple[str, Keys]:
    """The place's API, of a box as well, and the keys it is asked with. Raises Failed, SettingsError."""
    folder = loaded.settings.data_dir
    if not is_box(loaded):
        return address(loaded), (*read_credentials(folder / CREDENTIALS_FILE), loaded.settings.region)
    from littoral.cli import box

    held, listeners = box.ask(loaded, "GET", "/credentials"), box.ask(loaded, "GET", "/status")["listeners"]
    return listeners["inside"], (held["accessKeyId"], held["secretAccessKey"], held["region"])


def ask(loaded: Loaded, target: str, *, service: str = "lambda", method: str = "GET", document: Any = None) -> Any:
    """The JSON at that path (and query) of the place's API, signed for ``service``; ``document`` is sent as JSON.
    Raises Failed, SettingsError."""
    url, keys = reached(loaded)
    return signed(url, target, keys, service=service, method=method, document=document)


def signed(url: str, target: str, keys: Keys, *, service: str, method: str = "GET", document: Any = None) -> Any:
    """The same of the API at ``url``. Raises Failed."""
    body = b"" if document is None else json.dumps(document).encode()
    fields = {"content-type": "application/json"} if body else {}
    return _json(url, _sent(url, target, keys, service=service, method=method, body=body, fields=fields))


def call(loaded: Loaded, service: str, target: str, **members: Any) -> Any:
    """An operation of a service that speaks AWS's JSON 1.1; ``target`` is its X-Amz-Target. Raises Failed,
    SettingsError."""
    fields = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
    body = json.dumps(members).encode()
    url, keys = reached(loaded)
    return _json(url, _sent(url, "/", keys, service=service, method="POST", body=body, fields=fields))


def send(
    loaded: Loaded, target: str, *, service: str, method: str, body: bytes = b"", fields: Mapping[str, str] = _NOTHING
) -> bytes:
    """A request of the place's API, signed; the body of its answer. Raises Failed, SettingsError."""
    url, keys = reached(loaded)
    return _sent(url, target, keys, service=service, method=method, body=body, fields=fields)


def _sent(
    url: str, target: str, keys: Keys, *, service: str, method: str, body: bytes, fields: Mapping[str, str]
) -> bytes:
    import urllib.error
    import urllib.request

    from littoral.aws.sign import sign
    from littoral.net.message import Headers

    access, secret, region = keys
    headers = Headers.of(fields.items())
    sign(
        method,
        url + target,
        headers,
        payload=body,
        access_key=access,
        secret=secret,
        service=service,
        region=region,
        now=time.time(),
    )
    request = urllib.request.Request(url + target, body or None, dict(headers.items()), method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: bytes = response.read()
            return answer
    except urllib.error.HTTPError as error:
        with error:
            raise Failed(f"{url} refused: {error.code} {_reason(error.read(1000))}") from None
    except OSError as error:
        raise Failed(f"{url} does not answer: {error}") from None


def _reason(answer: bytes) -> str:
    """Code and message, where it has them as JSON; else as it came."""
    text = answer.decode("utf-8", "replace")
    try:
        told = json.loads(text)
        return f"{told['code']}: {told['message']}"
    except (ValueError, KeyError, TypeError):
        return text


def _json(url: str, answer: bytes) -> Any:
    try:
        return json.loads(answer or b"{}")
    except ValueError as error:
        raise Failed(f"{url} does not answer: {error}") from None
