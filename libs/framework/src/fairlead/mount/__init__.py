"""Other people's ASGI applications below a path of ours: FastAPI, Django, python-socketio, another `App`.

    app.mount("/admin", get_asgi_application())
    app.mount("/socket.io", socketio.ASGIApp(sio))

A mounted application is two routes with a streaming handler, so an application that mounts nothing pays nothing, and to all others
a mount is what any route is: the router finds it, middleware runs around it, body limits, the drain and the metrics hold for it.
The handler plays the ASGI server: `HttpConversation` and `WebsocketConversation` translate one request each, in a task of their own
that may outlive the response (background work) and the client (`http.disconnect`), and `Lifespan` runs the application's start and
stop at the place of the listeners that were registered before and after it.

It works the same when the outer application itself runs under an ASGI server: handlers only use the request and its exchange.
"""

from fairlead.mount.mount import Mount

__all__ = ["Mount"]
