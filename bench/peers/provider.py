"""A model provider on loopback: OpenAI's chat completions, streamed, after a second of thought.

`python -m bench.peers.provider PORT SECONDS`. One process for whoever is measured, and cheap: what
it spends is taken from the same cores.
"""

import asyncio
import json
import sys

import httptools
import uvloop


def _event(delta, reason=None, usage=None):
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        "usage": usage,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


USAGE = {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28}
BODY = b"".join(
    [
        _event({"role": "assistant", "content": ""}),
        *(_event({"content": f"word {number} "}) for number in range(8)),
        _event({}, "stop", USAGE),
        b"data: [DONE]\n\n",
    ]
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(BODY)
) + BODY


class Provider(asyncio.Protocol):
    """Answers every request alike."""

    seconds = 1.0

    def connection_made(self, transport):
        """Keep the way back."""
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data):
        """Feed the parser."""
        self.parser.feed_data(data)

    def on_message_complete(self):
        """Think, then answer."""
        asyncio.get_running_loop().call_later(self.seconds, self.transport.write, ANSWER)


async def serve(port, seconds):
    """Until killed."""
    Provider.seconds = seconds
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
