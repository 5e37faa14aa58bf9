"""Client devices of a core: who they are, what they may do at its broker, and where they find it."""
