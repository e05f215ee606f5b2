"""Changes to one file or many: asked for in words, planned, written as edit blocks, checked, returned as one EditSet.

`run.refactor` is the way in. Nothing in here writes a file, knows an editor or speaks HTTP; what the model says becomes
an edit or a named reason.
"""
