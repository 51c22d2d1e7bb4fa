"""Measures of what a generator draws: arrays in, numbers out."""
