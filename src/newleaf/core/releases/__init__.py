"""Which release is meant: names, tags, versions, channels, trust."""
