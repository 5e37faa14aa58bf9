"""Standard access logs ("Standard logging (legacy)"): a line a request, in gzip files in a bucket.

``collecting`` notes what happened (``noted`` is what), ``spool`` keeps it on disk, ``line`` writes the 33 fields,
``formatting`` makes a file of them, for large ones in a process of its own, ``delivery`` brings them to their bucket.
"""
