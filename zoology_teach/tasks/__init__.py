"""What is to be learned: recall, made up or in real text (chapters 01, 02)."""
