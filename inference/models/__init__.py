"""Model files: what a name means, whether the files are whole, and the embedded model itself."""
