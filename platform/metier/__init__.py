"""Metier: from a domain's documents to a specialist language model, graded, served and traceable, on Ray."""

__version__ = "0.1.0"
