"""``littoral core install``: a bare machine becomes a core.

By a **bundle** (``littoral core bundle`` in the region made key and certificate), or by a **claim** (fleet
provisioning: the key is made here and never leaves). Written, each file whole or not at all, in this order: key,
certificate, CA, configuration, systemd unit; so what is begun and broken off is simply done again. Installing again
what is there changes nothing but the configuration and the unit.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import ssl
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from littoral.cli.asking import Failed
from littoral.cli.bundle import FORM
from littoral.cli.folders import can_be_filled
from littoral.site.settings import NAME, TABLE, URL, Loaded
from littoral.store.durable import make_folder, write_durably

CERTIFICATE, KEY, CA = "core.crt", "core.key", "upstream-ca.pem"
THING: Final = "ThingName"  # the parameter of a template that names the core
WORDS: Final = ("name", "upstream", "certificatePem", "privateKey")  # of a bundle
FACTS: Final = ("region", "account", "credentials_endpoint", "models_key")  # of the place above, in the configuration
# Written by the command line or a variable, these are the core's for good; the others of the table are set below.
_OURS: Final = ("kind", "name", "data_dir", "upstream", "certificate", "private_key", "ca")


@dataclass(frozen=True, slots=True)
class Installing:
    """What was typed."""

    bundle: Path | None
    claim: Path | None
    template: str
    parameters: Mapping[str, str]
    unit: bool
    unit_folder: Path | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the core is; PEM."""

    name: str
    upstream: str
    certificate: str
    key: str
    ca: str | None
    region: str | None = None
    account: str | None = None
    credentials_endpoint: str | None = None
    models_key: str | None = None


def run(loaded: Loaded, typed: Installing, environ: Mapping[str, str], home: Path) -> int:
    """Raises Failed."""
    units = (typed.unit_folder or _unit_folder(environ, home)) if typed.unit else None
    likely = _data(loaded, environ, home, _name(loaded, typed) or "core")
    for each in filter(None, (likely, _config(environ, home, "").parent, units)):
        can_be_filled(each)  # before the region makes what could then not be kept
    identity = _identity(loaded, typed, environ, home)
    _check(identity)
    data = _data(loaded, environ, home, identity.name)
    _write(data / KEY, identity.key)
    _write(data / CERTIFICATE, identity.certificate)
    if identity.ca is not None:
        _write(data / CA, identity.ca)
    config = _config(environ, home, identity.name)
    _write(config, configuration(loaded, identity, data))
    unit = None
    if units is not None:
        unit = units / f"littoral-{identity.name}.service"
        _write(unit, service(identity.name, config, data, system=_root()), mode=0o644)
    if typed.bundle is not None:
        typed.bundle.unlink(missing_ok=True)  # the key is where it belongs, and in one place
    print(f"{identity.name} is installed: {config}, {data}")
    print("next:", *_next(unit, config), sep="\n  ")
    return 0


# -------------------------------------------------------------------------------------------------- who it is


def _identity(loaded: Loaded, typed: Installing, environ: Mapping[str, str], home: Path) -> Identity:
    """Raises Failed."""
    if typed.bundle is not None:
        return _by_bundle(typed.bundle) if typed.bundle.exists() else _again(loaded, environ, home, typed.bundle)
    if typed.claim is None:
        raise Failed("a core is installed by --bundle FILE or --claim DIR|FILE")
    if loaded.settings.upstream is None or urlsplit(loaded.settings.upstream).scheme != "mqtts":
        raise Failed("--claim needs --upstream, the devices' port of the region: mqtts://region.example:8883")
    name = _name(loaded, typed)
    there = _data(loaded, environ, home, name)
    if name and (there / CERTIFICATE).exists():
        return _kept(there, name, loaded.settings.upstream)
    return _by_claim(loaded, typed)


def _name(loaded: Loaded, typed: Installing) -> str:
    """The core's, as far as it is typed; empty where bundle or template say it."""
    typed_name = loaded.settings.name if loaded.sources["name"] != "default" else ""
    return typed_name or (typed.parameters.get(THING, "") if typed.bundle is None else "")


def _by_bundle(file: Path) -> Identity:
    try:
        found = json.loads(file.read_text("utf-8"))
        if found.get("form") != FORM:
            raise Failed(f"{file} is no bundle of this version")
        name, upstream, certificate, key = (str(found[word]) for word in WORDS)
        ca, *more = (
            None if each is None else str(each)
            for each in (found["ca"], found.get("credentialsEndpoint"), found.get("modelsKey"))
        )
        return Identity(name, upstream, certificate, key, ca, str(found["region"]), str(found["account"]), *more)
    except (OSError, ValueError, AttributeError, KeyError) as problem:
        raise Failed(f"{file} is no bundle: {problem!r}") from None


def _again(loaded: Loaded, environ: Mapping[str, str], home: Path, bundle: Path) -> Identity:
    """A bundle is used once: the second time what it held is here. Raises Failed."""
    name = loaded.settings.name if loaded.sources["name"] != "default" else bundle.name.removesuffix(".bundle")
    try:
        written = tomllib.loads(_config(environ, home, name).read_text("utf-8"))
        facts = [written["upstream"], *(written.get(each) for each in FACTS)]
        return _kept(_data(loaded, environ, home, name), name, *facts)
    except (OSError, ValueError, KeyError):
        raise Failed(f"there is no file {bundle}, and no core {name} is installed") from None


def _kept(folder: Path, name: str, upstream: str, *more: str | None) -> Identity:
    """Raises OSError."""
    ca = (folder / CA).read_text() if (folder / CA).exists() else None
    return Identity(name, upstream, (folder / CERTIFICATE).read_text(), (folder / KEY).read_text(), ca, *more)


def _config(environ: Mapping[str, str], home: Path, name: str) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "littoral" / f"{name}.toml"


def _by_claim(loaded: Loaded, typed: Installing) -> Identity:
    from cryptography.hazmat.primitives.asymmetric import ec

    from littoral.core.dialing import Upstream
    from littoral.core.enrolling import NotEnrolled, enrol
    from littoral.net.pki import private_pem, signing_request
    from littoral.net.tls import client_context

    assert typed.claim is not None and loaded.settings.upstream is not None
    if not typed.template:
        raise Failed("--claim needs --template, the provisioning template that the claim is for")
    above = urlsplit(loaded.settings.upstream)
    host, port = above.hostname or "", above.port or 8883
    certificate, key, beside = _claim(typed.claim)
    try:
        ca = loaded.settings.ca.read_bytes() if loaded.settings.ca is not None else beside
        tls = client_context(ca=ca, pair=(certificate, key))
    except (OSError, ssl.SSLError, ValueError) as problem:
        raise Failed(f"the claim or the CA cannot be used: {problem}") from None
    own = ec.generate_private_key(ec.SECP256R1())
    parameters = dict(typed.parameters)
    if loaded.sources["name"] != "default":
        parameters.setdefault(THING, loaded.settings.name)
    request = signing_request(parameters.get(THING, "core"), own).decode()
    try:
        made = asyncio.run(enrol(Upstream(host, port, tls, host), typed.template, parameters, request))
    except NotEnrolled as problem:
        raise Failed(f"not provisioned: {problem}") from None
    pem = ca.decode() if ca is not None else None
    return Identity(made.thing, loaded.settings.upstream, made.certificate, private_pem(own).decode(), pem)


def _claim(path: Path) -> tuple[bytes, bytes, bytes | None]:
    """Certificate, key, and the CA where one lies beside them. A folder with claim.crt and claim.key (and ca.pem), or
    what ``create-provisioning-claim`` answered. Raises Failed."""
    try:
        if path.is_dir():
            beside = path / "ca.pem"
            ca = beside.read_bytes() if beside.exists() else None
            return (path / "claim.crt").read_bytes(), (path / "claim.key").read_bytes(), ca
        found = json.loads(path.read_text("utf-8"))
        return found["certificatePem"].encode(), found["keyPair"]["PrivateKey"].encode(), None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Failed(f"{path} holds no claim (claim.crt and claim.key, or JSON): {problem}") from None


def _check(identity: Identity) -> None:
    """Raises Failed: a core that could not show who it is must not be installed."""
    from littoral.net.tls import client_context

    try:
        NAME.read(identity.name)
        URL.read(identity.upstream)
    except ValueError as problem:
        raise Failed(f"{identity.name!r} at {identity.upstream!r}: {problem}") from None
    try:
        ca = identity.ca.encode() if identity.ca is not None else None
        client_context(ca=ca, pair=(identity.certificate.encode(), identity.key.encode()))
    except (ssl.SSLError, ValueError, OSError) as problem:
        raise Failed(f"certificate, key and CA do not go together: {problem}") from None


# -------------------------------------------------------------------------------------------- what is written


def configuration(loaded: Loaded, identity: Identity, data: Path) -> str:
    """The core's TOML: who it is, and what else was typed. The variables of AWS's own tools are for these."""
    values: dict[str, Any] = {
        "kind": "core",
        "name": identity.name,
        "data_dir": str(data),
        "upstream": identity.upstream,
        "certificate": str(data / CERTIFICATE),
        "private_key": str(data / KEY),
    }
    if identity.ca is not None:
        values["ca"] = str(data / CA)
    for name in FACTS:
        if getattr(identity, name) is not None:
            values[name] = getattr(identity, name)
    for row in TABLE:
        if row.name not in _OURS and not row.secret and loaded.sources[row.name] not in ("default", row.also):
            values[row.name] = getattr(loaded.settings, row.name)
    return "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())


def _toml(value: Any) -> str:
    if value is None:  # a port that is off
        return '"off"'
    if isinstance(value, bool):
        return "true" if value else "false"
    # Characters as they are: of those beyond 16 bits JSON would make two escapes, which are not TOML's.
    return json.dumps(value if isinstance(value, (int, float)) else str(value), ensure_ascii=False)


def service(name: str, config: Path, data: Path, *, system: bool) -> str:
    """The systemd unit. What is hardened leaves functions their own sandboxes: namespaces, a /proc of their own."""
    only = "After=network-online.target\nWants=network-online.target\n" if system else ""
    strict = f"ProtectSystem=full\nReadWritePaths={_escaped(str(data))}\n" if system else ""
    program = f"{_escaped(sys.executable)} -m littoral up --config {_escaped(str(config))}"
    return f"""\
[Unit]
Description=Littoral core {name}
{only}
[Service]
Type=exec
ExecStart={program}
Restart=on-failure
RestartSec=2
TimeoutStopSec=30
KillMode=mixed
Delegate=yes
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
{strict}
[Install]
WantedBy={"multi-user.target" if system else "default.target"}
"""


def _escaped(text: str) -> str:
    """As systemd reads it: quoted, percent signs doubled."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'


def _next(unit: Path | None, config: Path) -> list[str]:
    if unit is None:
        return [f"littoral up --config {shlex.quote(str(config))}", "littoral core status"]
    ctl = "systemctl" if _root() else "systemctl --user"
    linger = [] if _root() else ["loginctl enable-linger   (it then runs without anybody logged in)"]
    return [f"{ctl} daemon-reload && {ctl} enable --now {unit.name}", *linger, "littoral core status"]


def _unit_folder(environ: Mapping[str, str], home: Path) -> Path:
    if _root():
        return Path("/etc/systemd/system")
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"


def _data(loaded: Loaded, environ: Mapping[str, str], home: Path, name: str) -> Path:
    if loaded.sources["data_dir"] != "default":
        return loaded.settings.data_dir
    return Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "littoral" / name


def _write(file: Path, text: str, mode: int = 0o600) -> None:
    """The whole file or the one before. Raises Failed."""
    try:
        make_folder(file.parent)
        write_durably(file, text.encode(), mode)
    except (OSError, ValueError) as problem:
        raise Failed(f"{file} cannot be written: {problem}") from None


def _root() -> bool:
    return os.geteuid() == 0
