"""Class votes and shared results: how they are stored, counted and kept anonymous."""
