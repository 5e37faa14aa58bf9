"""What functions on a core ask of it by greengrasssdk: of AWS's Lambda manager and legacy subscription router."""
