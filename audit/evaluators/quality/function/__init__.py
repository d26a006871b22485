"""A function of the user's own over samples and real rows."""
