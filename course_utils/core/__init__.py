"""Core modules below every other layer: files, paths, limits of the machine, lazy imports."""
