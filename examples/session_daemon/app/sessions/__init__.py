"""A daemon that keeps long sessions going."""
