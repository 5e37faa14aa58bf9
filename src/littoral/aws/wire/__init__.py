"""What stands between an operation's members and HTTP, compiled once from botocore's model.

    plan         the plan of one operation: how its input is read, held against the model, its result written
    rest         members in path, query, headers and status; the body of a REST operation
    jsonbody     JSON documents
    xmlbody      XML documents
    formbody     the query protocol's forms
    scalars      what is text on the wire: numbers, times, bytes
    constraints  required members, lengths, ranges, patterns, enums
    events       event streams
    unreadable   a value that is not of its shape

Every file makes closures of shapes and keeps none of a request. A reader takes a value as the wire has it and gives
the member's, or raises Unreadable; a writer does the reverse. Shapes that hold themselves are made once: a structure's
table is filled after its closure is known.
"""
