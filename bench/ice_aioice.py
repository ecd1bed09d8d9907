#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""One connection of aioice in a lab, for bench/compare; Debian's python3-aioice, so Debian's Python.

   ice_aioice.py answer SERVER SIGNAL_PORT STUN_PORT
   ice_aioice.py call SERVER SIGNAL_PORT STUN_PORT WARM_MS LIMIT_MS

The same as eyelet-bench-nice: both gather and connect to eyelet-bench-signal, the caller's clock starts when it
sends its credentials and candidates, and it prints a line of JSON with the time to the first echoed byte.
"""
import asyncio
import json
import os
import socket
import sys
import time

import aioice

AGAIN = 0.02  # seconds; the network may lose the byte or its echo
SIGNAL_SECONDS = 20


async def connect_signal(server, port):
    """The server may still be starting."""
    end = time.monotonic() + SIGNAL_SECONDS
    while True:
        try:
            reader, writer = await asyncio.open_connection(server, port)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return reader, writer
        except OSError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.02)


def say_candidates(writer, connection):
    lines = [f"{connection.local_username} {connection.local_password}"]
    lines += [candidate.to_sdp() for candidate in connection.local_candidates]
    writer.write("\n".join(lines + [".", ""]).encode())


async def hear_candidates(reader, connection):
    lines = []
    while not lines or lines[-1] != ".":
        line = await reader.readline()
        if not line:
            raise ConnectionError("the signal server has closed")
        lines.append(line.decode().rstrip("\n"))
    return lines


async def begin_checks(connection, lines):
    connection.remote_username, connection.remote_password = lines[0].split()
    for line in lines[1:-1]:
        await connection.add_remote_candidate(aioice.Candidate.from_sdp(line))
    await connection.add_remote_candidate(None)
    await connection.connect()


async def answer(reader, writer, connection):
    lines = await hear_candidates(reader, connection)
    say_candidates(writer, connection)
    await begin_checks(connection, lines)
    while True:
        await connection.send(await connection.recv())


async def send_again(connection):
    while True:
        await connection.send(b"x")
        await asyncio.sleep(AGAIN)


async def dial(reader, connection, begun, said):
    await begin_checks(connection, await hear_candidates(reader, connection))
    said["connected_ms"] = round((time.monotonic() - begun) * 1000, 3)
    sending = asyncio.ensure_future(send_again(connection))
    try:
        await connection.recv()
        said["echo_ms"] = said["ms"] = round((time.monotonic() - begun) * 1000, 3)
    finally:
        sending.cancel()


def kind_of_pair(connection):
    # The library has no accessor for the pair that it has chosen.
    pair = connection._nominated.get(1)  # pylint: disable=protected-access
    return (pair.local_candidate.type, pair.remote_candidate.type) if pair else ("", "")


async def call(reader, writer, connection, warm_ms, limit_ms):
    await asyncio.sleep(warm_ms / 1000)
    said = {"result": "failed", "ms": limit_ms, "connected_ms": 0, "echo_ms": 0}
    begun = time.monotonic()
    say_candidates(writer, connection)
    try:
        await asyncio.wait_for(dial(reader, connection, begun, said), limit_ms / 1000)
        said["result"] = "direct"
    except asyncio.TimeoutError:
        said["why"] = "the time is over"
    except ConnectionError as error:
        said["why"] = f"{error} after {(time.monotonic() - begun) * 1000:.0f} ms"
    said["local"], said["remote"] = kind_of_pair(connection)
    print(json.dumps(said), flush=True)
    return 0 if said["result"] == "direct" else 1


async def main(arguments):
    role, server, signal_port, stun_port, *times = arguments
    connection = aioice.Connection(ice_controlling=role == "call", stun_server=(server, int(stun_port)))
    await connection.gather_candidates()
    reader, writer = await connect_signal(server, int(signal_port))
    print("ready", flush=True)
    if await reader.readline() != b"both\n":
        return 1
    if role == "call":
        return await call(reader, writer, connection, *map(float, times))
    try:
        await answer(reader, writer, connection)
    except ConnectionError as error:
        print(f"ice_aioice: {error}", file=sys.stderr, flush=True)
    await reader.read()  # until the caller has gone
    return 0


if __name__ == "__main__":
    if len(sys.argv) != {"answer": 5, "call": 7}.get(sys.argv[1] if len(sys.argv) > 1 else ""):
        sys.exit(__doc__)
    # What the loop would still do when all is said would only cost time.
    status = asyncio.run(main(sys.argv[1:]))
    sys.stdout.flush()
    os._exit(status)
