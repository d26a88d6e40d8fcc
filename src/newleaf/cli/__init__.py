"""The command line: a module per verb group, loaded on demand."""
