"""The app's data: migrations and snapshots, as facts and plans."""
