"""DynamoDB's language and its types, without a table: items and expressions in, decisions and items out.

``numbers``      38 digits, and their order as bytes
``values``       attribute values: what is refused, how large one is, which are equal, which comes first
``keys``         schemas, and keys as bytes whose order is DynamoDB's
``syntax``       what expressions are made of; ``lexer`` and ``parser`` make it from text
``bindings``     names and values that an expression refers to; one that is not used is refused
``conditions``   condition and filter expressions as closures over an item
``updates``      update expressions: an item in, the next one out
``projections``  what is left of an item
``keycondition`` the one partition and the span of sort keys that a Query reads
``legacy``       the parameters from before expressions, as the same closures

An attribute value is DynamoDB's own form, ``{"S": "text"}``, with bytes where the wire has base64.
"""
