"""One websocket through the Service, as `helm test` opens it: it passes when the server accepts it and answers a ping."""

import sys

from websockets.sync.client import connect

with connect(sys.argv[1], open_timeout=10) as socket:
    if not socket.ping().wait(10):
        raise SystemExit("connected, but the ping was not answered")
    sys.stdout.write(f"connected and answered: {sys.argv[1]}\n")
