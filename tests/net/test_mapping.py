# SPDX-License-Identifier: BSD-2-Clause
"""What a router's open port is good for: a direct path where no other would be, and only if it works."""

import os
import sys

import topology
from programs import patient
from router import Miniupnpd, public_homes
from test_connect import TEXT

HERE = os.path.dirname(os.path.abspath(__file__))
MAPPED = "the router has opened a port"


def listen_until(net, callee, caller, text):
    """A listener that has said text in its log."""
    listen = callee.start("listen", "--allow", caller.id, "--exec", "cat", flags=("--json", "-v"))
    listen.wait_event("registered")
    net.wait_until(lambda: text in listen.err() or not listen.running(), 15, f"it says: {text}")
    return listen


def call(net, caller, callee, *flags):
    with open(net.path("text"), "wb") as file:
        file.write(TEXT)
    with open(net.path("text"), "rb") as file:
        run = caller.start("connect", callee.id, stdin=file, flags=("--json", *flags))
        run.expect_exit(0)
    assert run.out() == TEXT
    return run


def test_one_open_port_makes_two_random_nats_direct(programs):
    public_homes()
    with programs.net(nat_a="random", nat_b="random") as net:
        Miniupnpd(net, "nat_b")
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen_until(net, callee, caller, MAPPED)
        path = call(net, caller, callee, "--direct-only", "--no-port-mapping").path()
        assert path["kind"] == "direct" and path["local"] == "portmap", path


def test_a_router_behind_a_strict_firewall_is_not_believed(programs):
    """The router says that the port is open; a firewall above it lets nothing in that nobody asked for."""
    public_homes()
    with programs.net(nat_a="random", nat_b="random") as net:
        Miniupnpd(net, "nat_b")
        net.iptables("core", "-A", "FORWARD", "-p", "udp", "-d", net.public["b"], "-m", "conntrack",
                     "--ctstate", "NEW", "-j", "DROP")
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen = listen_until(net, callee, caller, "registered after")
        path = call(net, caller, callee, "--no-port-mapping").path()
        assert path["kind"] == "relay", path
        assert MAPPED not in listen.err()


def provider(net):
    """Everything between the homes and the rest is one provider's NAT, which lets nobody come back in."""
    net.iptables("core", "-t", "nat", "-A", "POSTROUTING", "-o", "med", "-j", "MASQUERADE")
    net.iptables("core", "-A", "INPUT", "-p", "udp", "-j", "DROP")


def telling_router(net, nat):
    process = net.start(nat, [sys.executable, os.path.join(HERE, "telling_router.py"), topology.WAN[nat]], "router")
    net.wait_until(lambda: b"ready" in process.out() or not process.running(), 5, "the router answers")


@patient
def test_two_homes_behind_one_provider_without_hairpin(programs):
    """Their public address is one and the same and leads nowhere. What does is their routers' own outer addresses,
    which the routers tell."""
    for number, nat in enumerate(("nat_a", "nat_b"), 11):
        topology.WAN[nat] = f"100.64.{number}.10"
        topology.WAN_ROUTER[nat] = f"100.64.{number}.1"
    with programs.net() as net:
        for nat in ("nat_a", "nat_b"):
            telling_router(net, nat)
        provider(net)
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen_until(net, callee, caller, "the router's own outer address is 100.64.12.10")
        path = call(net, caller, callee, "--direct-only").path()
        assert path["kind"] == "direct" and path["remote"].startswith("100.64.12.10:"), path
