"""Whether this machine can run a sweep, and what to do where it cannot."""
