"""Where an edit runs."""
