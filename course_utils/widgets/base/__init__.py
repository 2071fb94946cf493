"""Panel base classes: frame, worker thread, model picker, live text and static view."""
