"""Panels of the notebooks: a folder for each panel, and base for what panels share."""
