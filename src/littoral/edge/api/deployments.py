"""Continuous deployment: policies that send a share of a distribution's requests to its staging distribution, the copy
that is made for it, and its promotion."""

from __future__ import annotations

import uuid
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.edge.api.distributions import DistributionOperations
from littoral.edge.api.parts import check_quantities, invalid, listing, match_etag, page_of, plain
from littoral.edge.control import new_id
from littoral.edge.plan import items
from littoral.store.documents import Document

KIND = "continuous-deployment-policy"
MOST = 20  # "Quotas"
PREFIX = "aws-cf-cd-"  # of the header of a SingleHeader policy
HEAVIEST = 0.15
SESSIONS = range(300, 3601)  # seconds


class DeploymentOperations(DistributionOperations):
    """Of policies: create, get, update, delete, list; copy and promote."""

    @operation()
    async def create_continuous_deployment_policy(
        self, call: Call, *, continuous_deployment_policy_config: dict[str, Any]
    ) -> Output:
        async with self._control.changing:
            self._check_policy(continuous_deployment_policy_config, None)
            if len(self._control.all(KIND)) >= MOST:
                message = f"There are {MOST} continuous deployment policies already."
                raise ServiceError("TooManyContinuousDeploymentPolicies", message, status=400)
            identifier = str(uuid.uuid4())
            config = plain(continuous_deployment_policy_config)
            document = {"id": identifier, "config": config, "etag": new_id(), "modified": call.now}
            await self._control.put(KIND, identifier, document)
        location = f"{call.base_url}/2020-05-31/continuous-deployment-policy/{identifier}"
        return {"ContinuousDeploymentPolicy": _shown(document), "Location": location, "ETag": document["etag"]}

    @operation()
    async def get_continuous_deployment_policy(self, call: Call, *, id: str) -> Output:
        document = self._deployment_policy(id)
        return {"ContinuousDeploymentPolicy": _shown(document), "ETag": document["etag"]}

    @operation()
    async def get_continuous_deployment_policy_config(self, call: Call, *, id: str) -> Output:
        document = self._deployment_policy(id)
        return {"ContinuousDeploymentPolicyConfig": document["config"], "ETag": document["etag"]}

    @operation()
    async def update_continuous_deployment_policy(
        self,
        call: Call,
        *,
        id: str,
        continuous_deployment_policy_config: dict[str, Any],
        if_match: str | None = None,
    ) -> Output:
        async with self._control.changing:
            document = dict(self._deployment_policy(id))
            match_etag(document, if_match)
            self._check_policy(continuous_deployment_policy_config, id)
            document |= {"config": plain(continuous_deployment_policy_config), "etag": new_id(), "modified": call.now}
            await self._control.put(KIND, id, document)
        return {"ContinuousDeploymentPolicy": _shown(document), "ETag": document["etag"]}

    @operation()
    async def delete_continuous_deployment_policy(self, call: Call, *, id: str, if_match: str | None = None) -> Output:
        async with self._control.changing:
            match_etag(self._deployment_policy(id), if_match)
            for each in self._control.all("distribution").values():
                if each["config"].get("ContinuousDeploymentPolicyId") == id:
                    message = f"The continuous deployment policy is used by {each['id']}."
                    raise ServiceError("ContinuousDeploymentPolicyInUse", message, status=409)
            await self._control.delete(KIND, id)
        return {}

    @operation()
    async def list_continuous_deployment_policies(
        self, call: Call, *, marker: str | None = None, max_items: str | None = None
    ) -> Output:
        page, following = page_of(self._control.all(KIND), marker, max_items)
        shown = listing([{"ContinuousDeploymentPolicy": _shown(each)} for each in page], marker, max_items, following)
        kept = {name: value for name, value in shown.items() if name not in {"Marker", "IsTruncated"}}
        return {"ContinuousDeploymentPolicyList": kept}

    # ------------------------------------------------------------------------------- the staging distribution

    @operation()
    async def copy_distribution(
        self,
        call: Call,
        *,
        primary_distribution_id: str,
        caller_reference: str,
        staging: bool | None = None,
        enabled: bool | None = None,
        if_match: str | None = None,
    ) -> Output:
        """A staging distribution with the primary's configuration, without its names and its policy."""
        if not staging:
            raise invalid("A distribution can only be copied to a staging distribution (Staging).")
        primary = self._found(primary_distribution_id)
        match_etag(primary, if_match)
        copied = plain(primary["config"])
        copied |= {"CallerReference": caller_reference, "Staging": True, "Aliases": {"Quantity": 0}}
        copied.pop("ContinuousDeploymentPolicyId", None)
        if enabled is not None:
            copied["Enabled"] = enabled
        return await self._create(call, copied, [])

    @operation()
    async def update_distribution_with_staging_config(
        self, call: Call, *, id: str, staging_distribution_id: str | None = None, if_match: str | None = None
    ) -> Output:
        """The primary gets the staging distribution's configuration, but keeps its names and its policy, which is then
        disabled: all requests are the primary's again. ``IfMatch``: both ETags, the primary's first."""
        async with self._control.changing:
            primary = dict(self._found(id))
            policy = self._policy_of(primary)
            staging = self._staging_of(policy, staging_distribution_id)
            tags = [tag.strip() for tag in (if_match or "").split(",")]
            match_etag(primary, tags[0])
            match_etag(staging, tags[1] if len(tags) > 1 else None)
            config = plain(staging["config"])
            for name in ("CallerReference", "Aliases", "ContinuousDeploymentPolicyId", "Staging"):
                config.pop(name, None)
                if name in primary["config"]:
                    config[name] = primary["config"][name]
            await self._check(config, id)
            disabled = dict(policy)
            disabled |= {"config": policy["config"] | {"Enabled": False}, "etag": new_id(), "modified": call.now}
            primary |= {"config": config, "etag": new_id(), "modified": call.now}
            await self._control.put("distribution", id, primary)
            await self._control.put(KIND, policy["id"], disabled)
        return {"Distribution": self._distribution(primary), "ETag": primary["etag"]}

    def _policy_of(self, primary: Document) -> Document:
        policy = self._control.get(KIND, primary["config"].get("ContinuousDeploymentPolicyId") or "")
        if policy is None:
            raise invalid("The distribution has no continuous deployment policy.")
        return policy

    def _staging_of(self, policy: Document, identifier: str | None) -> Document:
        (domain,) = items(policy["config"], "StagingDistributionDnsNames")
        for each in self._control.all("distribution").values():
            if each["domain"] == domain and identifier in {None, "", each["id"]}:
                return each
        message = "The staging distribution does not exist, or is not that of the primary's policy."
        raise ServiceError("NoSuchDistribution", message, status=404)

    def _deployment_policy(self, identifier: str) -> Document:
        document = self._control.get(KIND, identifier)
        if document is None:
            message = "The continuous deployment policy does not exist."
            raise ServiceError("NoSuchContinuousDeploymentPolicy", message, status=404)
        return document

    def _check_policy(self, config: Document, own: str | None) -> None:
        check_quantities(config)
        names = items(config, "StagingDistributionDnsNames")
        if len(names) != 1:
            raise invalid("A continuous deployment policy names one staging distribution.")
        found = [each for each in self._control.all("distribution").values() if each["domain"] == names[0]]
        if not found or not found[0]["config"].get("Staging"):
            raise invalid(f"{names[0]} is not the domain name of a staging distribution.")
        for each in self._control.all(KIND).values():
            if each["id"] != own and names[0] in items(each["config"], "StagingDistributionDnsNames"):
                message = f"The staging distribution is used by the policy {each['id']}."
                raise ServiceError("StagingDistributionInUse", message, status=409)
        if config["Enabled"] or config.get("TrafficConfig"):
            _check_traffic(config.get("TrafficConfig") or {})


def _check_traffic(traffic: Document) -> None:
    kind = traffic.get("Type")
    if kind not in {"SingleWeight", "SingleHeader"} or not traffic.get(f"{kind}Config"):
        raise invalid("TrafficConfig has the configuration that its Type names.")
    if kind == "SingleHeader":
        header = traffic["SingleHeaderConfig"]
        if not header["Header"].lower().startswith(PREFIX) or not header["Value"]:
            raise invalid(f"The name of the header begins with {PREFIX}, and it has a value.")
        return
    weight = traffic["SingleWeightConfig"]
    if not 0 <= weight["Weight"] <= HEAVIEST:
        raise invalid(f"Weight is a number from 0 to {HEAVIEST}.")
    sticky = weight.get("SessionStickinessConfig")
    if sticky and (
        sticky["IdleTTL"] not in SESSIONS
        or sticky["MaximumTTL"] not in SESSIONS
        or sticky["IdleTTL"] > sticky["MaximumTTL"]
    ):
        raise invalid("IdleTTL and MaximumTTL are 300 to 3600 seconds, and IdleTTL is not the longer one.")


def _shown(document: Document) -> Output:
    return {
        "Id": document["id"],
        "LastModifiedTime": document["modified"],
        "ContinuousDeploymentPolicyConfig": document["config"],
    }
