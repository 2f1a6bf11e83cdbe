"""Passages, embeddings, the index, search, and the prompt that training and serving share."""
