"""Certificates that go from one account to another. There is one account at a place, so none ever does."""

from __future__ import annotations

from typing import NoReturn

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.things.control.base import Noun
from littoral.things.control.errors import invalid


class CertificateTransfers(Noun):
    @operation(notes="refused: there is no other account", harmless={"transferMessage"})
    async def transfer_certificate(self, call: Call, *, certificate_id: str, target_aws_account: str) -> Output:
        fact = self.certificate(certificate_id)
        if fact.status == "ACTIVE":
            raise ServiceError("CertificateStateException", f"Certificate {fact.id} is ACTIVE", status=406)
        if target_aws_account == self.names.account:
            raise invalid(f"Certificate {fact.id} belongs to the account {target_aws_account} already")
        raise invalid(f"The account {target_aws_account} does not exist at this place")

    @operation(notes="refused: no certificate is being transferred", harmless={"setAsActive"})
    async def accept_certificate_transfer(self, call: Call, *, certificate_id: str) -> Output:
        self._refuse(certificate_id)

    @operation(notes="refused: no certificate is being transferred", harmless={"rejectReason"})
    async def reject_certificate_transfer(self, call: Call, *, certificate_id: str) -> Output:
        self._refuse(certificate_id)

    @operation(notes="refused: no certificate is being transferred")
    async def cancel_certificate_transfer(self, call: Call, *, certificate_id: str) -> Output:
        self._refuse(certificate_id)

    def _refuse(self, certificate_id: str) -> NoReturn:
        fact = self.certificate(certificate_id)
        raise invalid(f"Certificate {fact.id} is not being transferred: it is {fact.status}")

    @operation(harmless={"pageSize", "marker", "ascendingOrder"})
    async def list_outgoing_certificates(self, call: Call) -> Output:
        return {"outgoingCertificates": []}
