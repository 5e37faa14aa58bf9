"""Everything that can be wrong with a DistributionConfig, before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from littoral.aws.service import ServiceError
from littoral.edge.api.configchecks import behaviours_of, check_alone, viewer_certificate
from littoral.edge.api.identities import identity_of
from littoral.edge.api.parts import Operations, check_quantities, documents_of, invalid
from littoral.edge.api.policykinds import KINDS, uses
from littoral.edge.api.realtimelogs import KIND as REALTIME
from littoral.edge.api.realtimelogs import realtime_logs
from littoral.edge.api.truststores import trust_store_of
from littoral.edge.edgefunctions import refusal
from littoral.edge.honoured import check_honoured
from littoral.edge.plan import EVENTS, compile_plan, items
from littoral.edge.plan.origin import is_function_url

VERSION_ARN = re.compile(r"^arn:aws:lambda:us-east-1:\d{12}:function:[a-zA-Z0-9-_]+:\d+$")
# "Quotas on distributions"
LIMITS = (
    ("CacheBehaviors", 75, "TooManyCacheBehaviors"),
    ("Origins", 100, "TooManyOrigins"),
    ("Aliases", 100, "TooManyDistributionCNAMEs"),
)
MOST_DISTRIBUTIONS, MOST_OF_A_POLICY = 500, 100
LOG_BUCKET = re.compile(r"^(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3([.-][a-z0-9-]+)?\.amazonaws\.com$")
MOST_KEY_GROUPS = 4  # a behaviour ("Quotas on key groups")


class Checks(Operations):
    """Mixed into the operations that take a configuration."""

    async def _check(self, config: Mapping[str, Any], own: str | None) -> None:
        """Everything that can be wrong with a configuration, before anything is stored."""
        check_honoured(config)
        self._check_web_acl(config.get("WebACLId"))
        self._check_clients(config)
        check_quantities(config)
        for name, most, code in LIMITS:
            if len(items(config, name)) > most:
                raise ServiceError(code, f"A distribution may have at most {most} {name}.", status=400)
        check_alone(config)
        self._check_quotas(config, own)
        self._check_aliases(config, own)
        self._check_certificate(config)
        self._check_deployment(config, own)
        await self._check_logging(config.get("Logging") or {})
        for arn in realtime_logs(config):
            if self._control.get(REALTIME, arn) is None:
                message = f"The real-time log configuration {arn} does not exist."
                raise ServiceError("NoSuchRealtimeLogConfig", message, status=404)
        targets = {item["Id"] for name in ("Origins", "OriginGroups") for item in items(config, name)}
        if not items(config, "Origins"):
            raise invalid("A distribution needs at least one origin.")
        for behaviour in behaviours_of(config):
            await self._check_behaviour(behaviour, targets)
        for origin in items(config, "Origins"):
            self._check_origin_access(origin)
        patterns = [item["PathPattern"] for item in items(config, "CacheBehaviors")]
        if len(patterns) != len(set(patterns)):
            raise invalid("A path pattern is there twice.")
        try:
            compile_plan("check", "check", config, documents_of(self._control))
        except ValueError as problem:
            raise invalid(f"The configuration holds what cannot be read: {problem}.") from problem

    def _check_web_acl(self, arn: str | None) -> None:
        acl = self._control.get("waf-webacl", arn) if arn else None
        if arn and (acl is None or acl["scope"] != "CLOUDFRONT"):
            message = "Invalid request provided: the web ACL does not exist, or its scope is not CLOUDFRONT."
            raise ServiceError("InvalidWebACLId", message, status=400)

    def _check_certificate(self, config: Mapping[str, Any]) -> None:
        """In CloudFront's words. Any authority will do: viewers decide whom they trust."""
        arn = (config.get("ViewerCertificate") or {}).get("ACMCertificateArn")
        if not arn:
            return
        missing = self.certificates.missing(arn, items(config, "Aliases")) if self.certificates is not None else None
        if missing is None:
            raise viewer_certificate(
                "The specified SSL certificate doesn't exist, isn't in us-east-1 region, isn't valid, or doesn't "
                "include a valid certificate chain."
            )
        if missing:
            raise viewer_certificate(
                "The certificate that is attached to your distribution doesn't cover the alternate domain name (CNAME) "
                f"that you're trying to add: {', '.join(missing)}"
            )

    def _check_clients(self, config: Mapping[str, Any]) -> None:
        """Viewer mTLS: with a trust store that is there, and over HTTPS only."""
        asked = config.get("ViewerMtlsConfig") or {}
        if not asked.get("Mode"):
            if asked.get("TrustStoreConfig"):
                raise invalid("A trust store of ViewerMtlsConfig goes with its Mode, required or optional.")
            return
        if self._control.get("trust-store", trust_store_of(config) or "") is None:
            raise ServiceError("EntityNotFound", "The trust store of ViewerMtlsConfig does not exist.", status=404)
        for behaviour in (config["DefaultCacheBehavior"], *items(config, "CacheBehaviors")):
            if behaviour["ViewerProtocolPolicy"] == "allow-all":
                raise invalid("With viewer mTLS every cache behavior's viewer protocol policy must be for HTTPS.")

    def _check_origin_access(self, origin: Mapping[str, Any]) -> None:
        if not origin.get("CustomOriginConfig") and not origin.get("S3OriginConfig"):
            raise ServiceError("InvalidOrigin", f"The origin {origin['Id']} is neither S3 nor custom.", status=400)
        shield = origin.get("OriginShield") or {}
        if shield.get("Enabled") and not shield.get("OriginShieldRegion"):
            raise ServiceError("InvalidOrigin", "An Origin Shield that is enabled needs its region.", status=400)
        control, identity = origin.get("OriginAccessControlId"), identity_of(origin)
        found = self._control.get("access-control", control) if control else None
        if control and found is None:
            raise ServiceError("InvalidOriginAccessControl", "The origin access control does not exist.", status=400)
        for_lambda = found is not None and found["config"]["OriginAccessControlOriginType"] == "lambda"
        if for_lambda and not is_function_url(origin["DomainName"]):
            message = f"{origin['DomainName']} is not a function URL, which the origin access control is for."
            raise ServiceError("InvalidOriginAccessControl", message, status=400)
        if identity and self._control.get("access-identity", identity) is None:
            raise ServiceError("InvalidOriginAccessIdentity", "The origin access identity does not exist.", status=400)

    def _check_quotas(self, config: Mapping[str, Any], own: str | None) -> None:
        """How many distributions there may be, and how many with one policy."""
        others = [each["config"] for key, each in self._control.all("distribution").items() if key != own]
        if own is None and len(others) >= MOST_DISTRIBUTIONS:
            message = f"There are {MOST_DISTRIBUTIONS} distributions already."
            raise ServiceError("TooManyDistributions", message, status=400)
        for control in {origin.get("OriginAccessControlId") or "" for origin in items(config, "Origins")} - {""}:
            if sum(controlled_by(other, control) for other in others) >= MOST_OF_A_POLICY:
                message = f"The origin access control {control} is used by {MOST_OF_A_POLICY} distributions already."
                raise ServiceError("TooManyDistributionsAssociatedToOriginAccessControl", message, status=400)
        for kind in KINDS:
            for asked in {behaviour.get(kind.member) or "" for behaviour in behaviours_of(config)} - {""}:
                if asked not in kind.managed and sum(uses(other, kind, asked) for other in others) >= MOST_OF_A_POLICY:
                    message = f"The policy {asked} is used by {MOST_OF_A_POLICY} distributions already."
                    raise ServiceError(f"TooManyDistributionsAssociatedTo{kind.noun}", message, status=400)

    def _check_deployment(self, config: Mapping[str, Any], own: str | None) -> None:
        """A continuous deployment policy is one primary distribution's, and comes to it by an update."""
        policy, staging = config.get("ContinuousDeploymentPolicyId"), bool(config.get("Staging"))
        if own is not None and bool(self._found(own)["config"].get("Staging")) != staging:
            raise ServiceError("IllegalUpdate", "Staging may not be changed.", status=400)
        if not policy:
            return
        if own is None or staging:
            what = "for a staging distribution" if staging else "during distribution creation"
            raise invalid(f"Continuous deployment policy is not supported {what}.")
        if self._control.get("continuous-deployment-policy", policy) is None:
            message = "The continuous deployment policy does not exist."
            raise ServiceError("NoSuchContinuousDeploymentPolicy", message, status=404)
        for key, each in self._control.all("distribution").items():
            if key != own and each["config"].get("ContinuousDeploymentPolicyId") == policy:
                message = f"The continuous deployment policy is used by {key}."
                raise ServiceError("ContinuousDeploymentPolicyInUse", message, status=409)

    def _check_aliases(self, config: Mapping[str, Any], own: str | None) -> None:
        mine = {name.lower() for name in items(config, "Aliases")}
        for document in self._control.all("distribution").values():
            taken = mine & {name.lower() for name in items(document["config"], "Aliases")}
            if document["id"] != own and taken:
                message = f"One or more of the CNAMEs you provided are already associated: {', '.join(sorted(taken))}"
                raise ServiceError("CNAMEAlreadyExists", message, status=409)

    async def _check_behaviour(self, behaviour: Mapping[str, Any], origins: set[str]) -> None:
        if behaviour["TargetOriginId"] not in origins:
            message = "One or more of your cache behaviors refer to an origin that does not exist."
            raise ServiceError("NoSuchOrigin", message, status=404)
        policy = behaviour.get("CachePolicyId")
        if not policy and not behaviour.get("ForwardedValues"):
            raise invalid("A cache behavior needs a cache policy or ForwardedValues.")
        self._check_scripts(behaviour)
        self._check_key_groups(items(behaviour, "TrustedKeyGroups"))
        for kind in KINDS:
            asked = behaviour.get(kind.member)
            if asked and asked not in kind.managed and self._control.get(kind.kind, asked) is None:
                raise ServiceError(f"NoSuch{kind.noun}", f"The policy {asked} does not exist.", status=404)
        seen = set()
        for trigger in items(behaviour, "LambdaFunctionAssociations"):
            if trigger["EventType"] not in EVENTS or trigger["EventType"] in seen:
                raise association(f"the event type {trigger['EventType']} is unknown or used twice")
            seen.add(trigger["EventType"])
            if not VERSION_ARN.match(trigger["LambdaFunctionARN"]):
                raise association("the ARN must be that of a numbered version in us-east-1")
            if trigger.get("IncludeBody") and not trigger["EventType"].endswith("-request"):
                raise association("IncludeBody is for request events only")
            self._check_function(trigger["EventType"], trigger["LambdaFunctionARN"])

    def _check_function(self, event_type: str, arn: str) -> None:
        if self._functions is None:
            return
        config = self._functions.describe(arn)
        if config is None:
            raise association(f"the function version {arn} does not exist")
        reason = refusal(event_type, config)
        if reason is not None:
            raise association(reason)

    async def _check_logging(self, logging: Mapping[str, Any]) -> None:
        if not logging.get("Enabled"):
            return
        found = LOG_BUCKET.match(logging.get("Bucket") or "")
        if found is None:
            raise invalid("The bucket of access logs is named as NAME.s3.amazonaws.com.")
        prefix = logging.get("Prefix") or ""
        if prefix.startswith("/") or len(prefix) > 256:
            raise invalid("The prefix of access logs has at most 256 characters and does not begin with a slash.")
        if self.objects is not None and not await self.objects.has(found["bucket"]):
            message = f"The S3 bucket that you specified for CloudFront logs does not exist: {logging['Bucket']}"
            raise invalid(message)

    def _check_scripts(self, behaviour: Mapping[str, Any]) -> None:
        """CloudFront functions: live ones, one an event, and not beside Lambda@Edge at the viewer's events."""
        lambdas = {each["EventType"] for each in items(behaviour, "LambdaFunctionAssociations")}
        seen: set[str] = set()
        for each in items(behaviour, "FunctionAssociations"):
            event, arn = each["EventType"], each["FunctionARN"]
            if not event.startswith("viewer-") or event in seen:
                raise _script(f"{event} is not a viewer event, or is there twice")
            if not lambdas.isdisjoint(("viewer-request", "viewer-response")):
                raise _script("viewer events have either CloudFront functions or Lambda functions, not both")
            seen.add(event)
            found = self._control.get("function", arn.rpartition("/")[2])
            if found is None or found["arn"] != arn or found["LIVE"] is None:
                raise _script(f"the function {arn} does not exist or is not published")

    def _check_key_groups(self, groups: list[str]) -> None:
        if len(groups) > MOST_KEY_GROUPS:
            message = f"A cache behavior may have at most {MOST_KEY_GROUPS} trusted key groups."
            raise ServiceError("TooManyKeyGroupsAssociatedToDistribution", message, status=400)
        for group in groups:
            if self._control.get("key-group", group) is None:
                message = "The trusted key group does not exist."
                raise ServiceError("TrustedKeyGroupDoesNotExist", message, status=400)


def _script(reason: str) -> ServiceError:
    return ServiceError("InvalidFunctionAssociation", f"The function association is invalid: {reason}.", status=400)


def controlled_by(config: Mapping[str, Any], control: str) -> bool:
    return any(origin.get("OriginAccessControlId") == control for origin in items(config, "Origins"))


def association(reason: str) -> ServiceError:
    return ServiceError("InvalidLambdaFunctionAssociation", f"The Lambda function association is invalid: {reason}.")
