"""What we touch: one outside thing per file."""
