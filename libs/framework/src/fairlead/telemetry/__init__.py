"""Logs, metrics and the loop watchdog. Importing the package costs nothing: ask for the room that you need.

- `fairlead.telemetry.logging.configure` joins structlog and the standard library's loggers into one stream on stdout;
- `fairlead.telemetry.metrics` counts in plain integers, per process, and merges the counts of many processes;
- `fairlead.telemetry.observer.compose` makes the server's one `observer` of request metrics and access log;
- `fairlead.telemetry.watchdog.Watchdog` notices an event loop that is blocked, and says by what.
"""
