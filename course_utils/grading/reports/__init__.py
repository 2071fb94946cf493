"""Reports for instructors: exported tables of scores, and a report on the whole class."""
