"""What is wrong in a results folder, and what can be repaired."""
