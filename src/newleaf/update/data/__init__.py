"""Migrations run, snapshots taken and put back."""
