"""Other S3 endpoints as AWS's own configuration names them: variables, profiles, roles of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from littoral.site.place import Misconfigured
from littoral.store.remote.far import Credentials


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where S3 is for a profile, and who we are there."""

    url: str
    region: str
    _session: Any

    @classmethod
    def of(cls, profile: str) -> Endpoint:
        """``profile`` "" is what the variables say. Raises Misconfigured."""
        import botocore.session
        from botocore.exceptions import BotoCoreError

        try:
            session = botocore.session.Session(profile=profile or None)
            client = session.create_client("s3", region_name=session.get_config_variable("region") or "us-east-1")
            if session.get_credentials() is None:
                raise Misconfigured(f"no credentials for S3 {_of(profile)}")
        except BotoCoreError as problem:
            raise Misconfigured(f"S3 {_of(profile)}: {problem}") from problem
        return cls(client.meta.endpoint_url, client.meta.region_name, session)

    def credentials(self) -> Credentials:
        held = self._session.get_credentials()
        frozen = held.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token, hasattr(held, "refresh_needed"))


def _of(profile: str) -> str:
    return f"in AWS's profile {profile}" if profile else "in AWS's variables and its default profile"
