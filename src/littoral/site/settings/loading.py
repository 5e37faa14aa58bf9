"""Settings from where they may come from, and what no single value shows."""

from __future__ import annotations

import configparser
import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from littoral.site.settings.kinds import PORT
from littoral.site.settings.table import TABLE, Row, Settings


class SettingsError(Exception):
    """A setting that cannot hold; the message is one line for a person."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """``sources`` says for each setting where its value came from."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]


def load(flags: Mapping[str, str | None], environ: Mapping[str, str], home: Path) -> Loaded:
    """Settings from flags (by setting name, plus ``config``), variables and the TOML file. Raises SettingsError."""
    document, file = _document(flags.get("config"), environ, home)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for row in TABLE:
        given, source = _given(row, flags, environ, document, file)
        sources[row.name] = source
        if source != "default":
            try:
                values[row.name] = row.kind.read(given)
            except ValueError as error:
                offence = "" if row.secret else f", not {given!r}"
                raise SettingsError(f"{row.name.replace('_', '-')} {error}{offence} (from {source})") from None
    settings = _completed(Settings(**values), environ, home)
    _check(settings)
    return Loaded(settings, sources, _strangers(environ))


def _document(flag: str | None, environ: Mapping[str, str], home: Path) -> tuple[Mapping[str, Any], str]:
    named = flag or environ.get("LITTORAL_CONFIG")
    base = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    file = Path(named).expanduser() if named else base / "littoral" / "littoral.toml"
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        if named:
            raise SettingsError(f"there is no configuration file {file}") from None
        return {}, ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {file}: {error}") from None
    except RecursionError:
        raise SettingsError(f"{file} is not valid TOML: it is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}") from None
    known = {row.name for row in TABLE}
    for key in document:
        if key not in known:
            raise SettingsError(f"{file} sets {key}, which is no setting (see littoral settings)")
    return document, str(file)


def _given(
    row: Row, flags: Mapping[str, str | None], environ: Mapping[str, str], document: Mapping[str, Any], file: str
) -> tuple[Any, str]:
    flag = flags.get(row.name)
    if flag is not None:
        return flag, row.flag or "the command line"
    for variable in (row.variable, row.also):
        if variable and environ.get(variable):
            return environ[variable], variable
    if row.name in document:
        return document[row.name], file
    return row.default, "default"


def _completed(settings: Settings, environ: Mapping[str, str], home: Path) -> Settings:
    """Defaults that follow from other settings."""
    changes: dict[str, Any] = {}
    name = settings.name or settings.kind or "local"
    changes["name"] = name
    if settings.data_dir == Path():
        changes["data_dir"] = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "littoral" / name
    if settings.upstream_credentials is not None:
        access, secret = read_credentials(settings.upstream_credentials)
        changes |= {"upstream_access_key": access, "upstream_secret_key": secret}
    return dataclasses.replace(settings, **changes)


def read_credentials(file: Path) -> tuple[str, str]:
    """Access key id and secret key of profile ``default`` in a file of AWS's form. Raises SettingsError."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text("utf-8"))
        profile = parser["default"]
        return profile["aws_access_key_id"], profile["aws_secret_access_key"]
    except OSError as error:
        raise SettingsError(f"cannot read the credentials in {file}: {error.strerror}") from None
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise SettingsError(f"{file} holds no access key for the profile default") from None


_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _check(settings: Settings) -> None:
    """What no single value shows."""
    if not settings.auth and settings.host not in _LOOPBACK:
        raise SettingsError(f"auth off is for loopback only; with host {settings.host} anybody could do anything")
    ports = [(row.name, getattr(settings, row.name)) for row in TABLE if row.kind is PORT]
    taken: dict[int, str] = {}
    for name, port in ports:
        if port and port in taken:
            raise SettingsError(f"{taken[port]} and {name} are both {port}".replace("_", "-"))
        if port:
            taken[port] = name


_NEEDED = {
    "edge": ("upstream", "upstream_access_key", "upstream_secret_key"),
    "core": ("upstream", "certificate", "private_key"),
}
_SCHEMES = {"edge": ("http", "https"), "core": ("mqtts",)}


def check_runnable(settings: Settings) -> None:
    """What a place of that kind cannot run without. Raises SettingsError."""
    for name in _NEEDED.get(settings.kind, ()):
        if not getattr(settings, name):
            row = next(row for row in TABLE if row.name == name)
            ways = " or ".join(filter(None, (row.flag, row.also or (row.variable if row.secret else ""))))
            raise SettingsError(f"littoral up {settings.kind} needs {ways}: {row.meaning[0].lower()}{row.meaning[1:]}")
    for name in ("certificate", "private_key", "ca", "node", "caddy", "acme_ca"):
        file: Path | None = getattr(settings, name)
        if file is not None and not file.is_file():
            raise SettingsError(f"{name.replace('_', '-')}: there is no file {file}")
    schemes = _SCHEMES.get(settings.kind)
    if schemes and urlsplit(settings.upstream or "").scheme not in schemes:
        raise SettingsError(f"littoral up {settings.kind} needs an upstream that begins with {schemes[0]}://")


def _strangers(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = {row.variable for row in TABLE} | {"LITTORAL_CONFIG"}
    return tuple(
        f"{variable} is no setting and was not used"
        for variable in sorted(environ)
        if variable.startswith("LITTORAL_") and variable not in known
    )
