"""Facts of HTTP, without input or output."""
