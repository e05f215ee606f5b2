"""How good are these suggestions on this code? Holes cut from a repository's own history, asked, scored, compared."""
