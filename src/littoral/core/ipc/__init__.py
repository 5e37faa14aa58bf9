"""Greengrass's interprocess communication: what components of a core ask of it over a Unix socket."""
