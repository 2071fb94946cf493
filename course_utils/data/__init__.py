"""Data sets of the course: texts that people wrote, with their splits and their origin."""
