"""Laminar Gateway."""
