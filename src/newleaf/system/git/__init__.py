"""Git: every program and file of it that we touch."""
