# SPDX-License-Identifier: BSD-2-Clause
"""The session with the mediator: by either family, by another port, and while networks change."""
import time

from events import change_address, second_interface, vanish
from topology import MEDIATOR


def seconds_until(net, condition, what, at_most=15):
    began = time.monotonic()
    net.wait_until(condition, at_most, what)
    return time.monotonic() - began


def listening(net, host, **options):
    """A peer that waits for callers, once it has registered."""
    listen = net.peer(host).start("listen", "--allow", "any", "--exec", "cat", flags=("--json", "-v"), **options)
    listen.wait_event("registered")
    return listen


def registered_again(net, listen, already=1, at_most=15):
    return seconds_until(net, lambda: len(listen.events("registered")) > already, "it registers again", at_most)


def add_network(net):
    net.cable("a", "vpn0", "nat_a", "vpn")
    net.ip("a", "addr", "add", "10.9.9.9/24", "dev", "vpn0")


def test_ipv6_alone(programs):
    with programs.net(nat_a="v6only", nat_b="drop+fw6") as net:
        net.mediator()
        listen = listening(net, "a")
        assert "by IPv6 [2001:db8:a:1::" in listen.err(), listen.err()
        both = listening(net, "b")
        assert "public address 198.51.100.20:" in both.err()


def test_ipv4_mediator_alone(programs):
    """Who has both families registers with a mediator that has one."""
    with programs.net(nat_a="drop+fw6") as net:
        net.mediator(addresses=MEDIATOR)
        assert "by IPv6 -" in listening(net, "a").err()


def test_new_address(programs):
    with programs.net() as net:
        net.mediator()
        listen = listening(net, "a")
        change_address(net, "a", "nat_a")
        took = registered_again(net, listen)
        assert took < 1.5, took
        time.sleep(1)
        assert not listen.events("mediator_lost"), listen.err()


def test_interface_vanishes(programs):
    with programs.net() as net:
        second_interface(net, "a", "nat_a")
        net.mediator()
        listen = listening(net, "a")
        vanish(net, "a")
        took = registered_again(net, listen)
        assert took < 1.5, took


def test_bridge_comes_and_goes(programs):
    with programs.net() as net:
        net.mediator()
        listen = listening(net, "a")
        for _ in range(5):
            net.ip("a", "link", "add", "docker0", "type", "bridge")
            net.ip("a", "addr", "add", "172.17.0.1/16", "dev", "docker0")
            net.ip("a", "link", "set", "docker0", "up")
            net.ip("a", "link", "del", "docker0")
        # What it notices at last is this alone.
        add_network(net)
        net.wait_until(lambda: "have changed" in listen.err(), 2, "it notices another network")
        assert listen.err().count("have changed") == 1, listen.err()
        assert len(listen.events("registered")) == 1


def test_another_network_beside(programs):
    """The session is asked for a sign of life, and lives on."""
    with programs.net() as net:
        net.mediator()
        listen = listening(net, "a")
        add_network(net)
        net.wait_until(lambda: "have changed" in listen.err(), 2, "it notices")
        time.sleep(2)
        assert len(listen.events("registered")) == 1


def test_port_443(programs):
    """Where nothing else gets out, and no port was given."""
    with programs.net() as net:
        net.mediator(config="port = 443\n")
        listening(net, "a", mediator=MEDIATOR[0])  # refused at once where it is expected
        net.iptables("med", "-A", "INPUT", "-p", "tcp", "--dport", "9856", "-j", "DROP")
        began = time.monotonic()
        listening(net, "b", mediator=MEDIATOR[0])
        assert 2.5 < time.monotonic() - began < 6
