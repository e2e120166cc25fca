"""What is to be learned: synthetic recall tasks."""
