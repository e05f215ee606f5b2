"""OpenAI-shaped JSON <-> generation types. Knows no HTTP, no model and no tokenizer."""
