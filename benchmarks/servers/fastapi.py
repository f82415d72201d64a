"""FastAPI on uvicorn; the body is a pydantic model, as its users write it."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import EVERYTHING, HELLO

TITLE = "FastAPI, uvicorn"
PACKAGES = ("fastapi", "pydantic", "uvicorn", "uvloop", "httptools", "websockets")
WORKLOADS = EVERYTHING


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import fastapi
    import pydantic
    import uvicorn
    from fastapi.responses import PlainTextResponse

    class Price(pydantic.BaseModel, extra="forbid"):
        amount: int
        currency: str

    class Item(pydantic.BaseModel, extra="forbid"):
        id: int
        sku: str
        name: str
        price: Price
        stock: int
        tags: list[str]
        description: str

    app = fastapi.FastAPI(openapi_url=None)

    async def plaintext() -> str:
        return HELLO

    async def json() -> Any:
        return {"message": HELLO, "id": 42, "ok": True}

    async def user(id: int, q: str | None = None) -> Any:
        return {"id": id, "q": q}

    async def items(item: Any) -> Any:
        return item

    items.__annotations__ = {"item": Item, "return": Item}

    async def echo(websocket: Any) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except fastapi.WebSocketDisconnect:
            pass

    echo.__annotations__ = {"websocket": fastapi.WebSocket}

    app.get("/plaintext", response_class=PlainTextResponse)(plaintext)
    app.get("/json", response_model=None)(json)
    app.get("/users/{id}", response_model=None)(user)
    app.post("/items")(items)
    app.websocket("/ws")(echo)
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
