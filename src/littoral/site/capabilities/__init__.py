"""The seams between capabilities: small adapters, one for each Protocol that one capability asks of another.

Capabilities do not import each other; what they need of one another is handed in from here. A file holds what one of
them is handed.
"""
