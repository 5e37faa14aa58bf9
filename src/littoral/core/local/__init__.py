"""Deployments that are made on the device itself: what is asked for, what comes with it, how far each is."""
