"""Stored results into tables: which trial counts, and what it gained."""
