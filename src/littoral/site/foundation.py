"""What every kind of place stands on: the data folder, its store, identity and certificate authority, and its routes.

The folder holds ``store/``, ``pki/`` (the place's own CA), ``functions/``, ``objects/``, ``edge/``, ``front/``, and for
people ``credentials`` (AWS INI format, mode 0600) and ``ca.pem``.
"""

from __future__ import annotations

import configparser
import io
import os
import resource
from dataclasses import dataclass, field
from pathlib import Path

from littoral.aws.identity import Identity
from littoral.net.message import Handler, Headers, Response
from littoral.net.pki import Authority
from littoral.site.console import PATH as CONSOLE
from littoral.site.console import console
from littoral.site.metrics import Metrics
from littoral.site.place import Place
from littoral.store.durable import make_folder, write_durably
from littoral.store.embedded import EmbeddedStore

OPEN_FILES = 65536  # wanted: every connection and function instance takes some


@dataclass(slots=True)
class Foundation:
    place: Place
    folder: Path
    runtime: Path  # for what must lie as plain files to run, such as functions; a box's is in memory
    store: EmbeddedStore
    identity: Identity
    authority: Authority
    metrics: Metrics
    # what functions find in their environment; the addresses are filled in once the listeners have their ports
    function_env: dict[str, str] = field(default_factory=dict)

    def routes(self) -> dict[str, Handler]:
        """The addresses beside the AWS APIs."""
        return {
            "/_littoral/health": lambda _: _text(200, "ok"),
            "/_littoral/ready": lambda _: _text(200, "ready") if self.place.ready else _text(503, "starting"),
            "/_littoral/ca.pem": lambda _: Response(
                200, Headers.of([("content-type", "application/x-pem-file")]), self.authority.certificate_pem
            ),
            "/metrics": self.metrics.handle,
            CONSOLE: console,
        }

    def names(self) -> list[str]:
        """What this place's own server certificates are for."""
        host = self.place.settings.host
        extra = [] if host in {"127.0.0.1", "0.0.0.0", "::", "localhost"} else [host]
        return ["localhost", "127.0.0.1", os.uname().nodename, *extra]


async def lay(place: Place) -> Foundation:
    """Open what everything stands on. Raises StoreError where the folder is in use or the disk refuses."""
    settings = place.settings
    folder = settings.data_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    raise_open_files()
    store = await EmbeddedStore.open(folder / "store")
    place.part(store.close)
    identity = await Identity.open(store.records("identity"), account=settings.account, verify=settings.auth)
    make_folder(folder / "pki")
    authority = Authority.load_or_create(folder / "pki", f"Littoral {settings.name}", write_durably)
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    _write_credentials(folder / "credentials", identity, settings.region)
    env = function_environment(identity, settings.region)
    return Foundation(place, folder, folder, store, identity, authority, Metrics(), env)


def function_environment(identity: Identity, region: str) -> dict[str, str]:
    """The place's own credentials."""
    return {
        "AWS_ACCESS_KEY_ID": identity.root.id,
        "AWS_SECRET_ACCESS_KEY": identity.root.secret,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


def _write_credentials(file: Path, identity: Identity, region: str) -> None:
    content = configparser.ConfigParser()
    content["default"] = {
        "aws_access_key_id": identity.root.id,
        "aws_secret_access_key": identity.root.secret,
        "region": region,
    }
    text = io.StringIO()
    content.write(text)
    write_durably(file, text.getvalue().encode())


def raise_open_files() -> None:
    """As far as the system lets this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _text(status: int, text: str) -> Response:
    return Response(status, Headers.of([("content-type", "text/plain")]), text.encode() + b"\n")
