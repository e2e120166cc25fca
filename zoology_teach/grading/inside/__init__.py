"""All that enters the sandbox; it imports nothing else of grading."""
