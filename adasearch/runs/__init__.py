"""Runs in this process, kept in the store."""
