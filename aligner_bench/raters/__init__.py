"""Raters: models and rules that label one answer at a time."""
