"""Simulations of correctors on synthetic data, without language models."""
