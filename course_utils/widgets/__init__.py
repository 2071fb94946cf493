"""What students and lecturers touch: one panel a file, its browser half beside it under the same name."""
