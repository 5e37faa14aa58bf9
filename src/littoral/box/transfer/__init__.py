"""A transfer between a folder or buckets and a box or a region: parallel, resumable, checked from end to end.

::

    items        what is moved, and what is known of it
    folder       a folder as a source             bucket       a bucket, as a source and as a destination
    journal      what arrived and what is under way, on the disk of whoever transfers
    moving       the transfer itself              batches      small files together in one request
    checking     whether all of it is there       report       what is said of it in the end, signed
"""
