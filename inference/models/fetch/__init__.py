"""Fetching a model: what a hub offers, one file after another, a folder that is whole or not there."""
