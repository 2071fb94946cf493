"""Autograding: worker processes, execution of notebooks in a sandbox, examination of essays."""
