"""The files of a run folder: each is one record, in a module of its own."""
