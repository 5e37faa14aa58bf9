"""The whole of ``iot``, composed of its nouns."""

from __future__ import annotations

from collections.abc import Callable

from littoral.net.pki import Authority
from littoral.things.authorizers import Authorizers
from littoral.things.control.authorization import Authorization
from littoral.things.control.authorizers import CustomAuthorizers
from littoral.things.control.billinggroups import BillingGroups
from littoral.things.control.cacertificates import CaCertificates
from littoral.things.control.destinations import TopicRuleDestinations
from littoral.things.control.domains import DomainConfigurations
from littoral.things.control.dynamicgroups import DynamicGroups
from littoral.things.control.endpoint import Endpoints
from littoral.things.control.eventconfigurations import EventConfigurations
from littoral.things.control.groupmembers import GroupMembers
from littoral.things.control.indexing import Indexing
from littoral.things.control.jobexecutions import JobExecutions
from littoral.things.control.jobs import JobControl
from littoral.things.control.jobtemplates import JobTemplates
from littoral.things.control.logging import LoggingOptions
from littoral.things.control.managedtemplates import ManagedTemplates
from littoral.things.control.policies import Policies, PolicyVersions
from littoral.things.control.policyattachments import PolicyAttachments
from littoral.things.control.principals import Principals
from littoral.things.control.rolealiases import RoleAliases
from littoral.things.control.tags import Tags
from littoral.things.control.things import Things
from littoral.things.control.thingtypes import ThingTypes
from littoral.things.control.topicrules import TopicRules
from littoral.things.control.transfers import CertificateTransfers
from littoral.things.domains import Domains
from littoral.things.fleet import Fleet
from littoral.things.iotlogs import Levels
from littoral.things.names import Names
from littoral.things.permissions import Permissions
from littoral.things.registry import Registry
from littoral.things.rules import Destinations, RuleEngine


class Iot(
    Things,
    ThingTypes,
    DynamicGroups,
    GroupMembers,
    BillingGroups,
    CaCertificates,
    CertificateTransfers,
    Principals,
    Policies,
    PolicyVersions,
    PolicyAttachments,
    Authorization,
    CustomAuthorizers,
    DomainConfigurations,
    RoleAliases,
    JobControl,
    JobExecutions,
    JobTemplates,
    ManagedTemplates,
    EventConfigurations,
    Indexing,
    LoggingOptions,
    Tags,
    TopicRules,
    TopicRuleDestinations,
    Endpoints,
):
    """What boto3's ``client("iot")`` talks to. Each operation is documented where it is written."""

    def __init__(
        self,
        registry: Registry,
        engine: RuleEngine,
        destinations: Destinations,
        names: Names,
        *,
        authority: Authority,
        endpoint: Callable[[], str],
        fleet: Fleet,
        permissions: Permissions,
        levels: Levels,
        authorizers: Authorizers,
        domains: Domains,
    ) -> None:
        CaCertificates.__init__(self, registry, names, authority)  # and with it every Noun
        TopicRules.__init__(self, engine, names, destinations)
        TopicRuleDestinations.__init__(self, destinations)
        Endpoints.__init__(self, endpoint)
        self.permissions = permissions
        self.levels = levels
        self.authorizers = authorizers
        self.domains = domains
        self.events = fleet.events
        self.progress = fleet.progress
        self.provisioning = fleet.provisioning
        self.bulk = fleet.bulk
        self.index = fleet.index
        self.membership = fleet.membership
        fleet.provisioning.issuer = self
        fleet.bulk.register = self.register_by
