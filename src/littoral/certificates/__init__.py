"""Certificate Manager: certificates that are imported, or issued by the place's own CA; their keys sealed at rest."""

from littoral.certificates.facade import CertificateStore

__all__ = ["CertificateStore"]
