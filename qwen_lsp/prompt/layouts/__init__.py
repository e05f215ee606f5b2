"""Layouts are data: one file per family, each layout with its stop list and its golden file."""
