"""The release as a service: registry, retriever, language model, OpenAI-compatible door, and the log of answers."""
