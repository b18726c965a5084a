"""The published tables of the papers, as data."""
