"""How a core and its components fare, told to the place above as AWS's nucleus tells it."""
