"""The inference daemon: tokens, caches and hardware. It never sees an editor or a file of the user's."""
