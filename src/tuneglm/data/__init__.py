"""From files that people have to token ids with labels."""
