"""Label files: a module for each format, the table of formats, and the checks that all of them share."""
