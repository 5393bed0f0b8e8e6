"""Every answer below one path says which tus is spoken there, refusals of other layers included."""

from app.core.asgi import START, App, Message, Receive, Scope, Send
from app.media.tus import VERSION


class TusLayer:
    """`app.add_middleware(TusLayer, prefix="/v1/uploads")`, outermost. Plain ASGI."""

    def __init__(self, app: App, *, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._concerns(scope):
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == START:
                mark = (b"tus-resumable", VERSION.encode())
                message = {**message, "headers": [*message.get("headers", ()), mark]}
            await send(message)

        await self._app(scope, receive, send_marked)

    def _concerns(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            return False
        path: str = scope["path"]
        return path == self._prefix or path.startswith(self._prefix + "/")
