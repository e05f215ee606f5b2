"""Does an edit hold? A copy of the workspace, the project's own commands in it, their messages against those before."""
