"""Missions: taken by hosts, ordered by headquarters."""
