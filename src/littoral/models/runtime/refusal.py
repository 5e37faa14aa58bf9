"""What a model at work says no to."""


class InferenceError(Exception):
    """Base of what is raised on purpose; the message is for whoever asked."""


class BadInput(InferenceError):
    """The caller's: a wrong shape, type or form, a NaN, more rows than are taken at once."""


class ModelFailed(InferenceError):
    """The model's: it cannot be loaded, or did not answer."""
