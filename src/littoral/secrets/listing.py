"""Reading: values, what is told of secrets, lists of them and of their versions."""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from typing import Any, Final

from littoral.aws.service import Call, Output, operation
from littoral.secrets.catalog import Catalog
from littoral.secrets.errors import invalid_parameter, invalid_request, not_found
from littoral.secrets.secret import CURRENT, Secret

PAGE: Final = 100
DEFAULT_KEY: Final = "DefaultEncryptionKey"
SORTS: Final = {"created-date": "created", "last-accessed-date": "accessed", "last-changed-date": "changed"}
PUNCTUATION: Final = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


class Listing:
    def __init__(self, catalog: Catalog, region: str) -> None:
        self._catalog = catalog
        self._region = region

    @operation()
    async def get_secret_value(
        self, call: Call, *, secret_id: str, version_id: str | None = None, version_stage: str | None = None
    ) -> Output:
        secret = self._catalog.find(secret_id, call.now)
        secret.check_there()
        stage = version_stage or (CURRENT if version_id is None else None)
        version = version_id or secret.staged(stage or CURRENT)
        if version is None or version not in secret.versions:
            wanted = f"VersionId: {version_id}" if version_id else f"staging label: {stage}"
            raise not_found(f"Secrets Manager can't find the specified secret value for {wanted}")
        known = secret.versions[version]
        if stage is not None and stage not in known.stages:
            raise invalid_request("You provided a VersionStage that is not associated to the provided VersionId.")
        output = {
            "ARN": secret.arn,
            "Name": secret.name,
            "VersionId": version,
            "VersionStages": list(known.stages),
            "CreatedDate": known.created,
        }
        value = await self._catalog.value(secret, version)
        await self._catalog.accessed(secret, version, call.now)
        return {**output, **({"SecretBinary": value} if known.binary else {"SecretString": value.decode()})}

    @operation()
    async def describe_secret(self, call: Call, *, secret_id: str) -> Output:
        secret = self._catalog.find(secret_id, call.now)
        return {**_shown(secret), "VersionIdsToStages": _stages(secret)}

    @operation(notes="filters: owning-service finds nothing, primary-region this region's")
    async def list_secrets(
        self,
        call: Call,
        *,
        include_planned_deletion: bool = False,
        max_results: int = PAGE,
        next_token: str = "",
        filters: Sequence[dict[str, Any]] = (),
        sort_order: str = "asc",
        sort_by: str = "name",
    ) -> Output:
        found = [
            each
            for each in self._catalog.all(call.now)
            if (include_planned_deletion or each.deleted is None)
            and all(self._matches(each, wanted) for wanted in filters)
        ]
        if sort_by != "name":
            found.sort(key=lambda each: getattr(each, SORTS[sort_by]) or 0.0)
        if sort_order == "desc":
            found.reverse()
        start = _place(next_token)
        page = found[start : start + max_results]
        output: Output = {"SecretList": [{**_shown(each), "SecretVersionsToStages": _stages(each)} for each in page]}
        if start + max_results < len(found):
            output["NextToken"] = str(start + max_results)
        return output

    def _matches(self, secret: Secret, wanted: dict[str, Any]) -> bool:
        """One value of the filter's is enough; one that begins with ! is one that must not be."""
        texts = {
            "name": [secret.name],
            "description": [secret.description],
            "tag-key": list(secret.tags),
            "tag-value": list(secret.tags.values()),
            "primary-region": [self._region],
            "owning-service": [],
        }
        texts["all"] = [text for key in ("name", "description", "tag-key", "tag-value") for text in texts[key]]
        among = texts[wanted.get("Key", "all")]
        return any(
            not _begins(among, value[1:]) if value.startswith("!") else _begins(among, value)
            for value in wanted.get("Values") or [""]
        )

    @operation()
    async def list_secret_version_ids(
        self,
        call: Call,
        *,
        secret_id: str,
        max_results: int = PAGE,
        next_token: str = "",
        include_deprecated: bool = False,
    ) -> Output:
        secret = self._catalog.find(secret_id, call.now)
        rows = [
            {
                "VersionId": key,
                "VersionStages": list(each.stages),
                "CreatedDate": each.created,
                "KmsKeyIds": [each.kms_key or DEFAULT_KEY],
                **({"LastAccessedDate": each.accessed} if each.accessed is not None else {}),
            }
            for key, each in secret.versions.items()
            if each.stages or include_deprecated
        ]
        start = _place(next_token)
        output: Output = {"ARN": secret.arn, "Name": secret.name, "Versions": rows[start : start + max_results]}
        if start + max_results < len(rows):
            output["NextToken"] = str(start + max_results)
        return output

    @operation()
    async def get_random_password(
        self,
        call: Call,
        *,
        password_length: int = 32,
        exclude_characters: str = "",
        exclude_numbers: bool = False,
        exclude_punctuation: bool = False,
        exclude_uppercase: bool = False,
        exclude_lowercase: bool = False,
        include_space: bool = False,
        require_each_included_type: bool = True,
    ) -> Output:
        kinds = [
            "" if excluded else "".join(each for each in kind if each not in exclude_characters)
            for kind, excluded in (
                (string.ascii_lowercase, exclude_lowercase),
                (string.ascii_uppercase, exclude_uppercase),
                (string.digits, exclude_numbers),
                (PUNCTUATION, exclude_punctuation),
                (" ", not include_space),
            )
        ]
        kinds = [kind for kind in kinds if kind]
        if not kinds:
            raise invalid_parameter("No characters are left for the password.")
        if require_each_included_type and password_length < len(kinds):
            raise invalid_parameter("The password length is too short for the required types.")
        needed = [secrets.choice(kind) for kind in kinds] if require_each_included_type else []
        rest = [secrets.choice("".join(kinds)) for _ in range(password_length - len(needed))]
        letters = needed + rest
        secrets.SystemRandom().shuffle(letters)
        return {"RandomPassword": "".join(letters)}


def _begins(texts: Sequence[str], start: str) -> bool:
    return any(text.lower().startswith(start.lower()) for text in texts)


def _place(token: str) -> int:
    if not token:
        return 0
    if not token.isascii() or not token.isdigit():
        raise invalid_parameter("Invalid NextToken.")
    return int(token)


def _stages(secret: Secret) -> dict[str, list[str]]:
    return {key: list(each.stages) for key, each in secret.versions.items() if each.stages}


def _shown(secret: Secret) -> dict[str, Any]:
    dates = {"LastAccessedDate": secret.accessed, "DeletedDate": secret.deleted}
    return {
        "ARN": secret.arn,
        "Name": secret.name,
        **({"Description": secret.description} if secret.description else {}),
        **({"KmsKeyId": secret.kms_key} if secret.kms_key else {}),
        "CreatedDate": secret.created,
        "LastChangedDate": secret.changed,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(secret.tags.items())],
        **{key: value for key, value in dates.items() if value is not None},
    }
