"""nbgrader integration: its configuration, and the methods that formgrader calls."""
