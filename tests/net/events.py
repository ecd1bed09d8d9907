# SPDX-License-Identifier: BSD-2-Clause
"""What happens to networks while somebody uses them: reboots, silence, new addresses. All take a Topology."""

import contextlib
import time

from topology import LAN, run


def reboot_nat(net, nat, ports="61001-65000", tcp=False):
    """The router forgets all connections and gives out other ports for UDP from now on, such as no socket has by
    chance; with tcp also for TCP, so that no such connection survives. When it was back."""
    outer = net.outer(nat)
    for protocol in ("udp", "tcp")[:1 + tcp]:
        net.iptables(outer, "-t", "nat", "-I", "POSTROUTING", "-o", "wan", "-p", protocol, "-j", "MASQUERADE",
                     "--to-ports", ports)
    net.ip(outer, "link", "set", "wan", "down")  # netfilter forgets what was masqueraded by a device that goes down
    net.ip(outer, "link", "set", "wan", "up")
    net.add_wan_addresses(nat)
    return time.monotonic()


@contextlib.contextmanager
def silence(net, nat):
    """Nothing passes this router, in either direction, and nobody is told."""
    rules = [("FORWARD", "-j", "DROP")]
    for rule in rules:
        net.iptables(nat, "-I", *rule)
        if nat in net.kinds6:
            net.ip6tables(nat, "-I", *rule)
    try:
        yield
    finally:
        for rule in rules:
            net.iptables(nat, "-D", *rule)
            if nat in net.kinds6:
                net.ip6tables(nat, "-D", *rule)


def change_address(net, host, nat, last=77):
    """The host loses its address and gets another one of the same network, as after a new lease. When."""
    address = f"{LAN[nat]}.{last}"
    net.ip_batch(host, f"addr del {net.address[host]}/24 dev eth0", f"addr add {address}/24 dev eth0",
                 f"route replace default via {LAN[nat]}.1")
    net.address[host] = address
    return time.monotonic()


def second_interface(net, host, nat, last=88):
    """Another cable into the same LAN, used when the first one has gone."""
    # Or the first one answers for the address of the second, which the router then believes to be gone with it.
    net.shell(host, "cd /proc/sys/net/ipv4/conf/all; echo 1 > arp_ignore; echo 2 > arp_announce")
    net.cable(host, "eth1", nat, f"more_{host}")
    net.ip(nat, "link", "set", f"more_{host}", "master", "lan")
    net.ip(host, "addr", "add", f"{LAN[nat]}.{last}/24", "dev", "eth1")
    net.ip(host, "route", "add", "default", "via", f"{LAN[nat]}.1", "dev", "eth1", "metric", "500")
    # A new port of a bridge takes its time where the kernel has much to do.
    net.wait_until(lambda: run("ip", "netns", "exec", net.ns(host), "ping", "-c", "1", "-W", "1", "-I", "eth1", f"{LAN[nat]}.1",
                               check=False).count("bytes from"), 10, "the second cable is connected")


def vanish(net, host, device="eth0"):
    """The interface is gone, with its addresses and routes. When."""
    net.ip(host, "link", "del", device)
    return time.monotonic()


def block_udp(net, nat):
    """UDP does not pass this router any more."""
    net.iptables(nat, "-I", "FORWARD", "-p", "udp", "-j", "DROP")


def allow_udp(net, nat):
    net.iptables(nat, "-D", "FORWARD", "-p", "udp", "-j", "DROP")
