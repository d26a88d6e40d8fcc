"""Inside or beside the daemon: what watches, stages and reports."""
