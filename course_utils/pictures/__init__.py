"""Pictures: a table in, something to look at out."""
