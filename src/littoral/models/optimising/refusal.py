"""Why a model is not made ready for a place."""


class CannotOptimise(ValueError):
    """The model or the data are damaged or do not fit together, or the result is not good enough; said in one line."""
