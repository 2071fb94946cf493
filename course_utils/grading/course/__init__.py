"""Course settings: nbgrader's course folder, roster, late penalty and limits of scores."""
