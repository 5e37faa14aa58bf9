"""How greengrasssdk reaches the core that its function runs on. Littoral's own; standard library only."""
