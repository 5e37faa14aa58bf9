"""A region's half of the edge: what is asked about distributions, firewalls and certificates, and what tells it to
the locations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from littoral.aws.gateway import Gateway
from littoral.certificates import CertificateStore
from littoral.edge.cloudfront import CloudFront
from littoral.edge.control import Control
from littoral.edge.ddos.api import Shield
from littoral.edge.ddos.attacks import Attacks
from littoral.edge.feed import Feed, replicated
from littoral.edge.keyvalue import KeyValueStoreData
from littoral.edge.waf.api import Wafv2
from littoral.edge.waf.crs.groups import Groups
from littoral.edge.waf.crs.ruleset import NoRuleSet, Source
from littoral.edge.waf.reports import ReportFeed, Reports
from littoral.net.message import Handler
from littoral.site.capabilities.certificates import Distributions, ShownCertificates, secret_of_root
from littoral.site.capabilities.edge import EdgeFunctions, ImportedObjects
from littoral.site.firewalllogs import FirewallLogs
from littoral.site.foundation import Foundation
from littoral.site.local import Local


@dataclass(frozen=True, slots=True)
class EdgeControl:
    base: Foundation
    control: Control
    certificates: CertificateStore
    cloudfront: CloudFront
    shield: Shield
    firewall: Wafv2
    reports: Reports
    rules: Source | None  # of managed rule groups

    @classmethod
    async def open(cls, base: Foundation, local: Local) -> EdgeControl:
        settings = base.place.settings
        account = settings.account
        control = await Control.open(base.store.records("edge-control"))
        base.place.quiet(control.close)
        local.functions.replicas(partial(replicated, control))
        certificates = await _certificates(base, control)
        destinations = FirewallLogs(local.objects, local.functions, local.streams, account)
        attacks = Attacks(control, account)
        reports = Reports(destinations, attacks=attacks)
        groups = _managed_groups(settings.waf_rules)
        firewall = Wafv2(
            control,
            account=account,
            region=settings.region,
            reports=reports,
            destinations=destinations,
            groups=groups,
        )
        return cls(
            base,
            control,
            certificates,
            _cloudfront(control, local, certificates, account),
            Shield(control, attacks, account=account),
            firewall,
            reports,
            groups.source if groups is not None else None,
        )

    def services(self) -> dict[str, object]:
        """By botocore's service name."""
        return {
            "acm": self.certificates.api,
            "cloudfront": self.cloudfront,
            "cloudfront-keyvaluestore": KeyValueStoreData(self.control),
            "shield": self.shield,
            "wafv2": self.firewall,
        }

    def routes(self, gateway: Gateway) -> dict[str, Handler]:
        """Where locations ask what to serve, and tell what they saw."""
        feed = Feed(
            self.control,
            gateway.authenticate,
            self.rules.digest if self.rules is not None else None,
            ShownCertificates(self.certificates),
            partial(secret_of_root, self.base.identity),
        )
        return feed.routes() | ReportFeed(self.reports, gateway.authenticate, self.rules).routes()


async def _certificates(base: Foundation, control: Control) -> CertificateStore:
    settings = base.place.settings
    certificates = await CertificateStore.open(
        base.store.records("certificates"),
        base.store.seal(base.folder / "certificates.key"),
        base.authority,
        Distributions(control, settings.account),
        region=settings.region,
        account=settings.account,
    )
    certificates.start()
    base.place.part(certificates.close)
    return certificates


def _cloudfront(control: Control, local: Local, certificates: CertificateStore, account: str) -> CloudFront:
    cloudfront = CloudFront(control, account=account, functions=EdgeFunctions(local.functions))
    cloudfront.certificates = ShownCertificates(certificates)
    cloudfront.objects = ImportedObjects(local.objects)
    cloudfront.streams = local.streams
    return cloudfront


def _managed_groups(folder: Path | None) -> Groups | None:
    """Of the Core Rule Set; None where it is not installed. Raises NoRuleSet for a named folder that holds none."""
    try:
        return Groups(Source.open(folder))
    except NoRuleSet:
        if folder is not None:
            raise
        return None
