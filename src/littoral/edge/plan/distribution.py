"""A whole distribution, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from littoral.edge.geo import Restriction
from littoral.edge.plan.behaviour import Behaviour, Target, behaviour_of
from littoral.edge.plan.clients import ClientCertificates, clients_of
from littoral.edge.plan.deployment import Deployment, deployment_of
from littoral.edge.plan.document import Document, items
from littoral.edge.plan.failover import failovers_of
from littoral.edge.plan.origin import Origin, origin_of
from littoral.edge.traffic import Traffic

HTTP_VERSIONS = {
    "http1.1": frozenset("1"),
    "http2": frozenset("12"),
    "http3": frozenset("13"),
    "http2and3": frozenset("123"),
}


@dataclass(frozen=True, slots=True)
class ErrorPage:
    minimum_ttl: float
    path: str | None = None
    status: int | None = None


@dataclass(slots=True)
class Plan:
    id: str
    domain: str
    aliases: tuple[str, ...]
    enabled: bool
    default_root: str
    behaviours: list[Behaviour]
    origins: dict[str, Origin]
    errors: dict[int, ErrorPage]
    restriction: Restriction | None = None  # of the countries where it is served
    tag_header: str | None = None  # of the origin's answers, with what they can be invalidated by
    logging: tuple[str, str, bool] | None = None  # bucket, prefix and whether cookies are shown, of access logs
    http: frozenset[str] = HTTP_VERSIONS["http2"]  # what viewers may speak over TLS: 1, 2, 3
    clients: ClientCertificates | None = None  # what viewers must show
    certificate: str = ""  # ARN of the one that is shown for its aliases
    newest_tls: bool = False  # viewers over TLS speak 1.3; less than 1.2 is spoken nowhere
    staging: bool = False  # asked by no name of its own
    deployment: Deployment | None = None  # what of its requests the staging distribution answers
    traffic: Traffic = field(default_factory=Traffic)  # the pipeline puts in the one that goes on over changes

    @property
    def names(self) -> tuple[str, ...]:
        return (self.domain.lower(), *self.aliases)

    @property
    def routed(self) -> bool:
        """Whether a request's host and path do not say which of two distributions answers it."""
        return self.staging or self.deployment is not None

    def rooted(self, path: str) -> str:
        """The default root object stands for the root."""
        return "/" + self.default_root if path == "/" and self.default_root else path

    def behaviour(self, path: str) -> Behaviour:
        """The first whose pattern matches; the default is last and matches all."""
        for behaviour in self.behaviours:
            if behaviour.matches(path):
                return behaviour
        return self.behaviours[-1]

    def offer_zstd(self) -> None:
        """Where the policy lets objects be compressed, the viewer's acceptance of Zstandard counts too."""
        for behaviour in self.behaviours:
            if behaviour.key.gzip or behaviour.key.brotli:
                behaviour.key = replace(behaviour.key, zstd=True)

    def error_minimum(self, status: int) -> float:
        page = self.errors.get(status)
        return page.minimum_ttl if page is not None else 10.0


def compile_plan(identifier: str, domain: str, config: Document, policies: Mapping[str, Document]) -> Plan:
    """``policies`` maps ids of policies of every kind and of access controls to their configs."""
    origins = {item["Id"]: origin_of(item, policies) for item in items(config, "Origins")}
    targets: dict[str, Target] = {key: (origin, None) for key, origin in origins.items()}
    targets |= failovers_of(config, origins)
    others = items(config, "CacheBehaviors")
    behaviours = [behaviour_of(item, item["PathPattern"], targets, policies) for item in others]
    behaviours.append(behaviour_of(config["DefaultCacheBehavior"], "*", targets, policies))
    clients, viewer = clients_of(config, policies), config.get("ViewerCertificate") or {}
    for behaviour in behaviours:
        if clients is not None and behaviour.viewer_policy == "allow-all":
            behaviour.viewer_policy = "https-only"  # the API refuses it; nobody comes by without TLS
    errors = {
        int(item["ErrorCode"]): ErrorPage(
            float(item.get("ErrorCachingMinTTL", 10)),
            item.get("ResponsePagePath") or None,
            int(item["ResponseCode"]) if item.get("ResponseCode") else None,
        )
        for item in items(config, "CustomErrorResponses")
    }
    return Plan(
        identifier,
        domain,
        tuple(name.lower() for name in items(config, "Aliases")),
        bool(config.get("Enabled")),
        config.get("DefaultRootObject") or "",
        behaviours,
        origins,
        errors,
        _restriction((config.get("Restrictions") or {}).get("GeoRestriction") or {}),
        ((config.get("CacheTagConfig") or {}).get("HeaderName") or "").lower() or None,
        _logging(config.get("Logging") or {}),
        HTTP_VERSIONS[str(config.get("HttpVersion") or "http2").lower()],
        clients,
        viewer.get("ACMCertificateArn") or "",
        (viewer.get("MinimumProtocolVersion") or "").startswith("TLSv1.3"),
        bool(config.get("Staging")),
        deployment_of(config, policies),
    )


def _logging(config: Document) -> tuple[str, str, bool] | None:
    if not config.get("Enabled"):
        return None
    bucket = str(config["Bucket"]).partition(".s3")[0]
    return bucket, str(config.get("Prefix") or ""), bool(config.get("IncludeCookies"))


def _restriction(config: Document) -> Restriction | None:
    kind = config.get("RestrictionType", "none")
    return None if kind == "none" else Restriction(frozenset(config.get("Items") or ()), kind == "whitelist")
