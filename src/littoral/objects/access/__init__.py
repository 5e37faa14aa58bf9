"""Who may do what to buckets and objects: bucket policies, access control lists, ownership, blocks of public access."""
