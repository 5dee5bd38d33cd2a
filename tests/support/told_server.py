"""The scripted server with any route's JSON as a test tells it."""

import json

from aiohttp import web
from support.scripted_server import ScriptedServer


class ToldServer(ScriptedServer):
    """``told`` maps paths to the JSON that is answered there; ``date``, when set, is the Date header of all answers."""

    def __init__(self, **told):
        super().__init__()
        self.told = {f"/{path}": answer for path, answer in told.items()}
        self.date = ""

    @web.middleware
    async def _middleware(self, request: web.Request, handler):
        if request.path not in self.told:
            response = await super()._middleware(request, handler)
        else:
            self.requests.append((request.method, request.path))
            response = web.Response(text=json.dumps(self.told[request.path]), content_type="application/json")
        if self.date:
            response.headers["Date"] = self.date
        return response
