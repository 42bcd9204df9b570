"""The tier below: one folder for each protocol that devices speak."""
