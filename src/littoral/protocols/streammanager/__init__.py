"""Greengrass's stream manager, without IO: the frames of its SDKs, what a stream may be, whose batch is next."""
