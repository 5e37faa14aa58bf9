"""AWS IoT jobs without IO: one thing's execution of a job, how fast a job rolls out, when it gives up, what its
document becomes. Time comes in as Unix seconds; what must happen goes out as values."""
