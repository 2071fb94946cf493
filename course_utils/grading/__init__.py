"""What instructors use: assignments made from their sources, submissions graded without loss, marks, feedback."""
