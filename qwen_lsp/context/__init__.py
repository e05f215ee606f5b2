"""Which other text matters at this cursor, and how much of it fits. Pure."""
