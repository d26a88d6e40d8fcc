"""newleaf keeps long-running Python daemons that are deployed from git up to date by themselves."""
