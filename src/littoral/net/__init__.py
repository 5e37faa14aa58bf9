"""Sockets: the HTTP/1.1 listener and client, WebSocket framing, TLS contexts and the private CA."""
