"""Mutation of the rules: each change of a line that no test notices is listed with the reason why nothing differs."""
