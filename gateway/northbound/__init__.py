"""The tier above: one folder for each protocol that it speaks."""
