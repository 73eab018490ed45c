"""What is to be run: from what a user asked for to studies, and to the runs that confirm them."""
