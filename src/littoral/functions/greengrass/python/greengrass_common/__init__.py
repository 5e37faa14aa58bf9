"""What greengrasssdk expects of the core that its function runs on. Littoral's own; standard library only."""
