"""Which code a workspace holds: what its files define, use and import, kept on disk between two starts."""
