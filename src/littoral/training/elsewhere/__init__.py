"""Hosts of training jobs on other machines, and the network that the hosts of such a job have among themselves."""
