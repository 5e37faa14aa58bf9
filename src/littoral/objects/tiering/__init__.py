"""Objects whose bytes lie above: in the bucket that they were replicated to, and no more here."""
