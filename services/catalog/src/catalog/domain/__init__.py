"""What a product is, free of HTTP and SQL."""
