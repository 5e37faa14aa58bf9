"""CloudFront Functions: small JavaScript at viewer-request and viewer-response, in the place's own process.

``engine`` runs one function, ``event`` is its event and what it may answer, ``functions`` is all that an edge location
has, with their key-value stores. Which functions there are is the control plane's (``edge.api.functions``).
"""
