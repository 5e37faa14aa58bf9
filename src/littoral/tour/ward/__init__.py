"""The ward's model: a small temporal network that says of each second of pulse whether it can be believed."""
