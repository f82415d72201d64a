"""One request through the Service, as `helm test` makes it: any answer below 400 passes."""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=10) as response:
    sys.stdout.write(f"{response.status} {response.url}\n")
