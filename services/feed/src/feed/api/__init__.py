"""The websocket and the page."""
