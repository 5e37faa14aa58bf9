"""Secure tunnelling is not here. The service is named all the same, so that its callers are told so."""


class SecureTunneling:
    """botocore's ``iotsecuretunneling``: no operation of it is there, each is answered with NotImplemented."""
