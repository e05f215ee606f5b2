"""From a wish to a model in its place: plan, ask, fetch, check. Loads no model and writes no settings."""
