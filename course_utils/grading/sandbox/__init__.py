"""Sandbox for students' code: bubblewrap, limits and the program that starts it."""
