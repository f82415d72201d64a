"""What the three services are for, end to end, as `helm test` tries it: sign up, sign in, add a product with the token,
see it arrive over the websocket, remove it. Nothing stays but an account that nobody can sign in to again.

Arguments: the addresses of auth, catalog and feed.
"""

import json
import secrets
import sys
import urllib.request

from websockets.sync.client import connect

auth, catalog, feed = sys.argv[1:]


def call(method, url, content=None, **headers):
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers}, method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read() or "null")


account = {"email": f"helm-test-{secrets.token_hex(8)}@example.com", "password": secrets.token_urlsafe()}
call("POST", f"{auth}/v1/accounts", account)
token = call("POST", f"{auth}/v1/token", {"grant_type": "password", **account})["access_token"]
authorized = {"Authorization": f"Bearer {token}"}
sys.stdout.write("signed in\n")

with connect(f"{feed.replace('http', 'ws', 1)}/ws/products", open_timeout=10) as socket:
    new = {"sku": f"HELM-TEST-{secrets.token_hex(8)}", "name": "helm test", "price": {"amount": 1, "currency": "EUR"}}
    product = call("POST", f"{catalog}/v1/products", new, **authorized)
    sys.stdout.write(f"added {product['id']}\n")
    try:
        while product["id"] not in socket.recv(timeout=20):
            pass
        sys.stdout.write("seen on the websocket\n")
    finally:
        call("DELETE", f"{catalog}/v1/products/{product['id']}", **authorized)
