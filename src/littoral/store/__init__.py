"""Records, streams and blobs: the promises (``contract``) and the engine on one machine (``embedded``)."""
