"""Above the daemon: holds its sockets, starts it, judges it. Standard library only, and no release's own."""
