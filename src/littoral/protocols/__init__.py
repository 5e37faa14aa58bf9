"""Sans-IO protocol cores: bytes and time in, bytes and decisions out. Standard library only."""
