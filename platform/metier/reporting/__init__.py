"""The story of an experiment for people: one self-contained HTML page, its pictures, and tables for the terminal."""
