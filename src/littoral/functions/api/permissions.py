"""AddPermission, RemovePermission, GetPolicy: the resource policy of a function, version or alias."""

from __future__ import annotations

import json
from dataclasses import replace

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.functions.api.parts import Operations, check_revision
from littoral.functions.names import LATEST, conflict, invalid, not_found
from littoral.functions.permissions import statement

MAX_POLICY = 20_480  # bytes


class PermissionOperations(Operations):
    @operation(
        notes="asked where S3, a rule of EventBridge or a topic rule of IoT invokes, and by function URLs; callers "
        "with keys pass; a URL needs lambda:InvokeFunctionUrl only, "
        "InvokedViaFunctionUrl beside it is kept and lets nobody else in"
    )
    async def add_permission(
        self,
        call: Call,
        *,
        function_name: str,
        statement_id: str,
        action: str,
        principal: str,
        source_arn: str | None = None,
        source_account: str | None = None,
        function_url_auth_type: str | None = None,
        invoked_via_function_url: bool | None = None,
        qualifier: str | None = None,
        revision_id: str | None = None,
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        if reference.qualifier == LATEST:
            raise invalid("We currently do not support adding policies for $LATEST.")
        async with self._catalog.lock(reference.name):
            self._named(reference)
            function = self._catalog.get(reference.name)
            key = reference.qualifier or ""
            statements = function.policies.get(key, [])
            check_revision(revision_id, function.revision(key), "Policy")
            if any(each["Sid"] == statement_id for each in statements):
                raise conflict(
                    f"The statement id ({statement_id}) provided already exists. "
                    "Please provide a new statement id, or remove the existing statement."
                )
            arn = self._home.arn(reference.name, reference.qualifier)
            added = statement(
                statement_id,
                action,
                principal,
                arn,
                source_arn,
                source_account,
                function_url_auth_type,
                via_url=bool(invoked_via_function_url),
            )
            if len(json.dumps([*statements, added])) > MAX_POLICY:
                raise ServiceError(
                    "PolicyLengthExceededException",
                    f"The final policy size is bigger than the limit ({MAX_POLICY}).",
                    status=400,
                    fields={"Type": "User"},
                )
            changed = {**function.policies, key: [*statements, added]}
            await self._catalog.save(replace(function, policies=changed, revisions=function.revised(key)))
            return {"Statement": json.dumps(added, separators=(",", ":"))}

    @operation()
    async def remove_permission(
        self,
        call: Call,
        *,
        function_name: str,
        statement_id: str,
        qualifier: str | None = None,
        revision_id: str | None = None,
    ) -> Output:
        reference = self._home.parse(function_name, qualifier)
        async with self._catalog.lock(reference.name):
            if self._catalog.find(reference.name) is None:
                raise not_found(f"No policy found for: {self._home.arn(reference.name, reference.qualifier)}")
            self._named(reference)
            function = self._catalog.get(reference.name)
            key = reference.qualifier or ""
            statements = function.policies.get(key)
            if not statements:
                raise not_found("No policy is associated with the given resource.")
            if all(each["Sid"] != statement_id for each in statements):
                raise not_found(f"Statement {statement_id} is not found in resource policy.")
            check_revision(revision_id, function.revision(key))
            left = [each for each in statements if each["Sid"] != statement_id]
            policies = (
                {**function.policies, key: left} if left else {k: v for k, v in function.policies.items() if k != key}
            )
            await self._catalog.save(replace(function, policies=policies, revisions=function.revised(key)))
        return {}

    @operation()
    async def get_policy(self, call: Call, *, function_name: str, qualifier: str | None = None) -> Output:
        reference = self._home.parse(function_name, qualifier)
        function = self._catalog.find(reference.name)
        key = reference.qualifier or ""
        if function is None or not function.policies.get(key):
            raise not_found("The resource you requested does not exist.")
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": function.policies[key]}
        return {"Policy": json.dumps(policy, separators=(",", ":")), "RevisionId": function.revision(key)}
