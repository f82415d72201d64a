"""Sessions: what an application remembers of a browser between requests (mission T8).

    Sessions(RedisStore(client)).install(app)

    async def handler(request):
        request.ctx.session["cart"] = [7]

`fairlead.sessions.redis.RedisStore` shares sessions among workers, `MemoryStore` is for one worker, `CookieStore` keeps them in
the browser, signed.
"""

from fairlead.sessions.cookie import CookieStore
from fairlead.sessions.memory import MemoryStore
from fairlead.sessions.session import Session
from fairlead.sessions.sessions import Sessions, session_of
from fairlead.sessions.store import Record, SessionTooLarge, Store

__all__ = ["CookieStore", "MemoryStore", "Record", "Session", "SessionTooLarge", "Sessions", "Store", "session_of"]
