"""What the terminal shows of a run, of its data and of a plan; the log and the pictures."""
