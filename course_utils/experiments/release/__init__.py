"""Release experiments: history of releases, release rules, decisions and arguments."""
