"""The fan-out that one writes by hand: websockets' asyncio server and one Redis subscription.

`python -m bench.peers.fanout_server PORT`. What competent code does: uvloop, no compression, one
JSON document an event, `broadcast`. A socket shows a signed token and names the event it wants.
Left out of what the hub does: sessions that end, rights, organizations, personal events, gaps
filled from a table, and clients that do not read (`broadcast` buffers for them without end).
"""

import os
import sys
from collections import defaultdict

import jwt
import orjson
import redis.asyncio
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

CHANNEL = "hub:events"
subscribers: defaultdict[str, set[ServerConnection]] = defaultdict(set)


async def talk(connection: ServerConnection) -> None:
    """One client from its first message to its last."""
    hello = orjson.loads(await connection.recv())
    jwt.decode(hello["token"], os.environ["BENCH_KEY"], algorithms=["HS256"])
    await connection.send('{"type":"authenticated"}')
    wanted = []
    try:
        async for text in connection:
            message = orjson.loads(text)
            wanted.append(message["event"])
            subscribers[message["event"]].add(connection)
            await connection.send('{"type":"subscribed"}')
    finally:
        for event in wanted:
            subscribers[event].discard(connection)


async def listen() -> None:
    """Every event to everybody who asked for it."""
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])
    async with client, client.pubsub() as subscription:
        await subscription.subscribe(CHANNEL)
        async for message in subscription.listen():
            if message["type"] == "message":
                _organization, _user, kind, data, _sequence = orjson.loads(message["data"])
                frame = orjson.dumps({"type": kind, "data": data})
                broadcast(subscribers[kind], frame, text=True)


async def main(port: int) -> None:
    """Serve until killed."""
    async with serve(talk, "127.0.0.1", port, compression=None, backlog=1024):
        await listen()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
