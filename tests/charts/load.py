"""Load during an upgrade: connections that are kept, requests without a pause, and no request may fail.

Every argument is an address that is asked again and again, until the file /tmp/stop is there. Ends with status 1, and the
first failures, when anything but 200 came back. A connection that the server closed after an answer is opened anew, as
every client does; one that breaks within a request is a failure.
"""

import http.client
import pathlib
import sys
import threading
import urllib.parse

CLIENTS = 4
STOP = pathlib.Path("/tmp/stop")
failures: list[str] = []
answers: dict[str, int] = {}


def ask(address: str) -> None:
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    while not STOP.exists():
        try:
            connection.request("GET", parts.path)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                failures.append(f"{address}: {response.status}")
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{address}: {error!r}")
            connection.close()
        answers[address] = answers.get(address, 0) + 1


threads = [threading.Thread(target=ask, args=[address]) for address in sys.argv[1:] for _ in range(CLIENTS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.stdout.write(f"{answers}; {len(failures)} failed\n" + "".join(f"{failure}\n" for failure in failures[:20]))
sys.exit(1 if failures or not answers else 0)
