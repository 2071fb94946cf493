"""What students and lecturers touch: one panel a file, its browser code beside it under the same name."""
