"""Intake: bodies become events, each with a verdict of its own, and go to the log."""
