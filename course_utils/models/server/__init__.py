"""Model server: requests, queue, batches and responses of the OpenAI-compatible API."""
