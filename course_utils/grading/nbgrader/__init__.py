"""nbgrader integration: its configuration, gradebook access, formgrader and safe pages."""
