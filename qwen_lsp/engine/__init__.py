"""The way to the daemon: find or start it, ask it, stop asking. The only place that speaks HTTP."""
