# SPDX-License-Identifier: BSD-2-Clause
"""Rubbish at every port while real work goes on."""

import os
import re

from programs import hash_of
from test_connect import connect_directly
from test_transfer import MIB, receive
from topology import MEDIATOR, WAN

# Datagrams of every size up to 100 bytes and of some beyond, random, or with the cookie of STUN in its
# place, to one address and a list of ports.
FLOOD = r"""
import os, random, socket, sys, time
target, ports, seconds = sys.argv[1], [int(p) for p in sys.argv[2].split(",")], float(sys.argv[3])
random.seed(1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.time() + seconds
sent = 0
while time.time() < end:
    for size in list(range(0, 101)) + [548, 1200, 1472]:
        body = bytearray(os.urandom(size))
        kind = random.randrange(4)
        if kind == 1 and size >= 20:
            body[0:8] = b"\x00\x01" + (size - 20).to_bytes(2, "big") + b"\x21\x12\xa4\x42"
        elif kind == 2 and size >= 20:
            body[0:8] = b"\x01\x01" + random.randrange(65536).to_bytes(2, "big") + b"\x21\x12\xa4\x42"
        elif kind == 3 and size:
            body[0] = 0xc0
        for port in ports:
            try:
                s.sendto(body, (target, port))
                sent += 1
            except OSError:
                pass
    time.sleep(0.02)
print(sent)
"""

# Random bytes, a half-open handshake, and connections that say nothing, at a TCP port.
BABBLE = r"""
import os, random, socket, ssl, sys, time
target, port = sys.argv[1], int(sys.argv[2])
random.seed(2)
held = []
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
hello = context.wrap_bio(incoming, outgoing)
try:
    hello.do_handshake()
except ssl.SSLWantReadError:
    pass
first_flight = outgoing.read()
for number in range(60):
    try:
        s = socket.create_connection((target, port), timeout=2)
        kind = number % 4
        if kind == 0:
            s.sendall(os.urandom(random.randrange(1, 20000)))
        elif kind == 1:
            s.sendall(first_flight)
        elif kind == 2:
            s.sendall(first_flight[:random.randrange(1, len(first_flight))])
        held.append(s)
    except OSError:
        pass
time.sleep(2)
print(len(held))
"""


# How many of 20 silent connections the other side closes within 8 s.
HOLD = r"""
import socket, sys
held = [socket.create_connection((sys.argv[1], 9856), 5) for _ in range(20)]
for s in held:
    s.settimeout(8)
print(sum(s.recv(1) == b"" for s in held))
"""


def udp_ports(net, host):
    """The UDP ports that programs in a namespace have bound."""
    text = net.shell(host, "cat /proc/net/udp")
    return sorted({int(port, 16) for port in re.findall(r"^\s*\d+: [0-9A-F]{8}:([0-9A-F]{4}) ", text, re.M)})


def script(net, name, text):
    """The path of a Python script; written once, because others may be reading it."""
    path = net.path(name)
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return path


def flood(net, where, target, ports, seconds):
    return net.start(where, ["python3", script(net, "flood.py", FLOOD), target, ",".join(map(str, ports)), str(seconds)],
                     "flood")


def test_datagrams_at_every_port_during_a_transfer(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        file = net.make_file("data.tar", 64 * MIB)
        recv = receive(net, callee, caller, net.path("in"))
        ports = udp_ports(net, "b")
        assert ports, "the callee has no UDP port"
        # From its own LAN every port of the peer is open to anyone; the public side has what the NAT lets in.
        floods = [flood(net, "nat_b", net.address["b"], ports, 4),
                  flood(net, "core", MEDIATOR[0], udp_ports(net, "med"), 4),
                  flood(net, "core", WAN["nat_b"], ports, 4)]
        send = caller.start("send", file, "--peer", callee.id)
        send.wait_event("connected", 20)
        floods.append(flood(net, "nat_a", net.address["a"], udp_ports(net, "a"), 3))
        send.expect_exit(0, 90)
        recv.expect_exit(0)
        assert hash_of(file) == hash_of(net.path("in", "data.tar"))
        for process in floods:
            assert process.wait(20) == 0 and int(process.out()) > 1000, process.err()


def test_rubbish_at_the_control_port(programs):
    with programs.net() as net:
        mediator = net.mediator()
        babble = net.start("core", ["python3", script(net, "babble.py", BABBLE), MEDIATOR[0], "9856"], "babble")
        connect_directly(net, net.peer("a"), net.peer("b"))
        assert babble.wait(60) == 0, babble.err()
        assert mediator.running()


def test_silent_connections_are_dropped(programs):
    """Half a handshake costs a bounded time."""
    with programs.net() as net:
        mediator = net.mediator(config="[limits]\nhandshake-seconds = 2\n")
        hold = net.start("core", ["python3", script(net, "hold.py", HOLD), MEDIATOR[0]], "hold")
        assert hold.wait(30) == 0, hold.err()
        assert int(hold.out()) == 20
        assert mediator.running()
        memory = net.shell("med", f"grep VmRSS /proc/{mediator.popen.pid}/status")
        assert int(memory.split()[1]) < 400_000, memory


def test_datagrams_get_no_more_than_they_bring(programs):
    """A bounce server answers rubbish with silence."""
    with programs.net() as net:
        mediator = net.mediator()
        ports = udp_ports(net, "med")
        net.iptables("core", "-A", "FORWARD", "-s", MEDIATOR[0])
        process = flood(net, "nat_a", MEDIATOR[0], ports, 2)
        assert process.wait(20) == 0
        sent = int(process.out())
        answered = int(re.search(r"^\s*(\d+)\s", net.iptables("core", "-vxnL", "FORWARD").splitlines()[2]).group(1))
        # One in four is a well-formed request, which deserves an answer up to its rate limit.
        assert answered < sent / 2, f"{answered} answers to {sent} datagrams"
        assert mediator.running()
        assert os.path.exists(f"/proc/{mediator.popen.pid}")


def crooked(programs, name, code):
    """A sender that offers a file under this name, with a hash that is not the file's. What the receiver answers to the
    offer; it must end with this code and write nothing, anywhere."""
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        recv = receive(net, callee, caller, net.path("outer", "in"))
        sender = net.start("a", [programs.helper("eyelet-crooked"), caller.config("key"), MEDIATOR[0],
                                 caller.config("known_mediators"), callee.id, name], "crooked")
        assert sender.wait(30) == 0, sender.err()
        recv.expect_exit(code)
        found = [os.path.join(folder, file) for folder, _, files in os.walk(net.path("outer")) for file in files]
        assert not found, found
        assert not os.path.exists("/tmp/eyelet-crooked-file")
        assert "\x1b" not in recv.err() and b"\x1b" not in recv.out(), recv.err()
        return int(sender.out())


NAME_REFUSED = 1


def test_offered_name_that_climbs(programs):
    assert crooked(programs, "../climbed", 1) == NAME_REFUSED


def test_offered_name_that_climbs_later(programs):
    assert crooked(programs, "deep/../../climbed", 1) == NAME_REFUSED


def test_offered_name_that_is_absolute(programs):
    assert crooked(programs, "/tmp/eyelet-crooked-file", 1) == NAME_REFUSED


def test_offered_name_with_terminal_escapes(programs):
    assert crooked(programs, "x\x1b[2J\x1b]0;owned\x07y", 1) == NAME_REFUSED


def test_file_with_a_wrong_hash(programs):
    """It never takes its place."""
    assert crooked(programs, "innocent", 8) == 0
