"""Settings: every key, how values are read, and how sources become one."""
