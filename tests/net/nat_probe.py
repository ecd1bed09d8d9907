#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a NAT does, as a UDP program sees it that shares no code with ours.

   nat_probe.py server ADDRESS ADDRESS     answers on ports 4000 and 4001 of both
   nat_probe.py client ADDRESS ADDRESS     prints what the NAT in front of it does, as JSON
   nat_probe.py same-port ADDRESS PORT     prints as what a socket with this port is seen
   nat_probe.py late ADDRESS SECONDS...    prints which of the answers after so many seconds came
"""
import json
import select
import socket
import sys
import time

PORTS = (4000, 4001)
WAIT_S = 0.2  # for what may well not come
SURE_S = 2    # for what surely comes, on a machine that is busy
IP_RECVERR = 11
MSG_ERRQUEUE = 0x2000


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(addresses):
    sockets = {}
    for index, address in enumerate(addresses):
        for place, port in enumerate(PORTS):
            one = socket.socket(family(address), socket.SOCK_DGRAM)
            one.bind((address, port))
            sockets[index, place] = one
    later = []
    print("ready", flush=True)
    while True:
        wait = max(0, min((due for due, *_ in later), default=time.monotonic() + 60) - time.monotonic())
        for one in select.select(list(sockets.values()), [], [], wait)[0]:
            data, peer = one.recvfrom(2000)
            question = json.loads(data)
            answer = json.dumps({"seen": peer[:2], "id": question["id"]}).encode()
            later.append((time.monotonic() + question.get("delay", 0), sockets[tuple(question["from"])], answer, peer))
        for entry in [entry for entry in later if entry[0] <= time.monotonic()]:
            later.remove(entry)
            entry[1].sendto(entry[2], entry[3])


class Socket:
    def __init__(self, version=socket.AF_INET, port=0):
        self.socket = socket.socket(version, socket.SOCK_DGRAM)
        self.socket.bind(("", port))
        self.port = self.socket.getsockname()[1]
        self.ids = 0

    def ask(self, to, reply_from, wait=WAIT_S, delay=0):
        """The (address, port) that it was seen as; None: no answer."""
        self.ids += 1
        self.socket.sendto(json.dumps({"id": self.ids, "from": reply_from, "delay": delay}).encode(), to)
        return self.hear(self.ids, wait)

    def hear(self, wanted, wait):
        end = time.monotonic() + wait
        while True:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                answer = json.loads(self.socket.recv(2000))
            except (OSError, ValueError):
                if time.monotonic() >= end:
                    return None
                continue
            if answer.get("id") == wanted:
                return tuple(answer["seen"])


def mapping(addresses, version):
    one = Socket(version)
    first = one.ask((addresses[0], PORTS[0]), [0, 0], SURE_S)
    if not first:
        return "blocked"
    port, address = one.ask((addresses[0], PORTS[1]), [0, 1], SURE_S), one.ask((addresses[1], PORTS[0]), [1, 0], SURE_S)
    if first == port == address:
        return "eim"
    return "adm" if first == port else "apdm"


def filtering(addresses, version):
    if Socket(version).ask((addresses[0], PORTS[0]), [1, 1]):
        return "eif"
    return "adf" if Socket(version).ask((addresses[0], PORTS[0]), [0, 1]) else "apdf"


def allocation(addresses, version):
    """Of fresh sockets to one remote; the names of lab/nat_config.h without sizes."""
    pairs = []
    for _ in range(10):
        one = Socket(version)
        pairs.append((one.port, one.ask((addresses[0], PORTS[0]), [0, 0], SURE_S)[1]))
    seen = [port for _, port in pairs]
    steps = [after - before for before, after in zip(seen, seen[1:])]
    if all(own == port for own, port in pairs):
        return "preserving"
    if all(0 < abs(step) <= 8 for step in steps):
        return f"seq{min(steps, key=abs):+d}"
    return "block" if max(seen) - min(seen) < 2048 else "random"


def hairpin(addresses):
    one, other = Socket(), Socket()
    seen, target = [which.ask((addresses[0], PORTS[0]), [0, 0], SURE_S) for which in (one, other)]
    other.socket.sendto(b"{}", seen)
    one.socket.sendto(b'{"id": 99, "seen": [1, 1]}', target)
    return bool(other.hear(99, WAIT_S))


def hops(address):
    """What sends ICMP time exceeded for each TTL, until the server answers."""
    found = []
    for ttl in range(1, 9):
        one = Socket()
        one.socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        one.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        if one.ask((address, PORTS[0]), [0, 0]):
            return found
        try:
            _, ancillary, _, _ = one.socket.recvmsg(2000, 500, MSG_ERRQUEUE)
            found += [socket.inet_ntoa(data[20:24]) for _, _, data in ancillary]
        except OSError:
            found.append(None)
    return found


def measure(addresses):
    version = family(addresses[0])
    found = {"mapping": mapping(addresses, version)}
    if found["mapping"] != "blocked":
        found["filtering"] = filtering(addresses, version)
        found["allocation"] = allocation(addresses, version)
        if version == socket.AF_INET:
            found["hairpin"] = hairpin(addresses)
            found["hops"] = hops(addresses[0])
    print(json.dumps(found))


def late(address, delays):
    """Each socket asks once and hears an answer at once and one later."""
    sockets = [Socket(family(address)) for _ in delays]
    for one, delay in zip(sockets, delays):
        one.ask((address, PORTS[0]), [0, 0], SURE_S)
        one.ask((address, PORTS[0]), [0, 0], wait=0, delay=delay)
    end = time.monotonic() + max(delays) + 0.3
    print(json.dumps([bool(one.hear(2, max(0.05, end - time.monotonic()))) for one in sockets]))


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "server":
        serve(rest)
    elif what == "client":
        measure(rest)
    elif what == "same-port":
        print(json.dumps(Socket(port=int(rest[1])).ask((rest[0], PORTS[0]), [0, 0], wait=1)))
    elif what == "late":
        late(rest[0], [float(word) for word in rest[1:]])


main()
