"""Asking a model: one protocol `generate(requests) -> responses`, its engines, what this machine can run, prompt templates."""
