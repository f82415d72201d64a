"""What the feed says and to whom, free of HTTP."""
