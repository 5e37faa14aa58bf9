"""What the registry says no to. Each message is for people, and complete."""


class RegistryError(Exception):
    """Base of what the registry raises on purpose."""


class BadModel(RegistryError):
    """Not a model that may be kept: corrupt, of another kind, too large, or one that reaches beyond its file."""


class BadName(RegistryError):
    """A name, or something said of a model, that breaks a rule."""


class NoSuch(RegistryError):
    """There is no model, or no version, of that name."""


class Untrue(RegistryError):
    """What is kept is not what was registered: its digest or its signature is another."""
