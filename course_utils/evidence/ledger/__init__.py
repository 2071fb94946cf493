"""Evidence ledger: records of measurements in a file whose lines are chained by hashes."""
