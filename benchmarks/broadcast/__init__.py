"""One message for many websockets: Fairlead's fan-out beside its peers and beside writing a ready-made frame to each transport.

    .venv/bin/python -m benchmarks.broadcast                      # 1,000 subscribers
    .venv/bin/python -m benchmarks.broadcast --idle               # 10,000 idle connections: memory, and the loop's lag
    .venv/bin/python -m benchmarks.broadcast --explain            # where that memory was allocated, line by line

Every server takes any websocket as a subscriber. A text "5" from one of them makes it send `MESSAGE` to all the others five times,
one in each turn of its loop; the load counts the frames that arrive. A text "lag" makes Fairlead measure its own loop
meanwhile, "trace" its memory.
"""
