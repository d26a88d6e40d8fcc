"""Redis or Valkey: as the bus, and as the place where others read."""
