"""A TCP proxy that makes a near machine far: every byte arrives ONE_WAY later.

Delays, and limits nothing: bytes are stamped when they come and leave when their time has come,
so any number of them may be under way. A connection costs one round trip before its first byte,
as TCP's own handshake does.

    delay.py LISTEN_PORT TARGET_PORT ONE_WAY_MS        both ports on 127.0.0.1
"""

import asyncio
import collections
import socket
import sys


async def carry(reader, writer, delay):
    """Moves one direction, each piece DELAY seconds after it came."""
    under_way = collections.deque()
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def receive():
        try:
            while piece := await reader.read(1 << 16):
                under_way.append((loop.time() + delay, piece))
                arrived.set()
        except ConnectionError:
            pass
        under_way.append((loop.time() + delay, None))
        arrived.set()

    receiving = asyncio.create_task(receive())
    try:
        while True:
            while not under_way:
                arrived.clear()
                await arrived.wait()
            due, piece = under_way.popleft()
            await asyncio.sleep(due - loop.time())
            if piece is None:
                writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()
    except (ConnectionError, OSError):
        pass
    finally:
        receiving.cancel()


async def serve(client_reader, client_writer, port, delay):
    def at_once(writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # SYN and SYN-ACK: the client could send nothing before; its ACK is the third way.
    await asyncio.sleep(2 * delay)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    at_once(client_writer)
    at_once(writer)
    await asyncio.gather(carry(client_reader, writer, delay), carry(reader, client_writer, delay))
    for one in (client_writer, writer):
        one.close()


async def main(listen, port, one_way_ms):
    delay = one_way_ms / 1000
    server = await asyncio.start_server(lambda r, w: serve(r, w, port, delay), "127.0.0.1", listen)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
