"""Release of assignments: their checks are verified, and the students' versions are put into the exchange."""
