# SPDX-License-Identifier: BSD-2-Clause
"""Home routers that open ports: Debian's miniupnpd over nftables, and crooked ones."""

import os

import topology
from programs import Skipped
from topology import Failed

DAEMON = "/usr/sbin/miniupnpd"
TABLE = """
table inet miniupnpd {
    chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
    chain miniupnpd { }
    chain prerouting { type nat hook prerouting priority -110; policy accept; jump prerouting_miniupnpd; }
    chain postrouting { type nat hook postrouting priority 90; policy accept; jump postrouting_miniupnpd; }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
}
"""


def public_homes():
    """miniupnpd maps no ports for addresses of documentation: before a topology is made, gives both
    homes others. The test runs in a process of its own, so that nobody else sees it."""
    for nat, prefix in (("nat_a", "11.0.113"), ("nat_b", "11.51.100")):
        topology.OPEN_LAN[nat] = prefix
        topology.WAN[nat] = f"{prefix}.10"
        topology.WAN_ROUTER[nat] = f"{prefix}.1"


class Miniupnpd:
    """On the router `nat`. upnp, pmp (NAT-PMP and PCP): what it speaks. config: more lines."""

    def __init__(self, net, nat="nat_a", upnp=True, pmp=True, config=""):
        if not os.path.exists(DAEMON):
            raise Skipped("miniupnpd is not installed (scripts/install-deps test)")
        self.net = net
        self.nat = nat
        self.count = 0
        self.process = None
        rules = net.path(f"miniupnpd-{nat}.nft")
        with open(rules, "w", encoding="utf-8") as file:
            file.write(TABLE)
        net.shell(nat, f"nft -f {rules}")
        self.config = net.path(f"miniupnpd-{nat}.conf")
        yes = {True: "yes", False: "no"}
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"ext_ifname=wan\nlistening_ip=lan\nhttp_port=0\nenable_upnp={yes[upnp]}\n"
                       f"enable_natpmp={yes[pmp]}\nsecure_mode=yes\nsystem_uptime=no\nnotify_interval=900\n"
                       "uuid=6bdd35ef-fd5a-46bb-b1fe-fb755aa2f736\n"
                       "upnp_table_name=miniupnpd\nupnp_nat_table_name=miniupnpd\nupnp_forward_chain=miniupnpd\n"
                       "upnp_nat_chain=prerouting_miniupnpd\nupnp_nat_postrouting_chain=postrouting_miniupnpd\n"
                       f"{config}\n"
                       "allow 1024-65535 0.0.0.0/0 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n")
        self.start()

    def start(self):
        self.count += 1
        pid_file = self.net.path(f"miniupnpd-{self.nat}-{self.count}.pid")
        self.process = self.net.start(self.nat, [DAEMON, "-d", "-f", self.config, "-P", pid_file], "miniupnpd")
        self.net.wait_until(lambda: self.listens() or not self.process.running(), 5, "miniupnpd listens")
        if not self.process.running():
            raise Failed(f"miniupnpd ended: {self.process.err().strip()}")

    def listens(self):
        ports = self.net.shell(self.nat, "ss -Hlun")
        return ":5351" in ports or ":1900" in ports

    def stop(self):
        self.process.stop()

    def reboot(self):
        """Loses all mappings, as a router does that loses power."""
        self.stop()
        self.net.shell(self.nat, "nft flush chain inet miniupnpd prerouting_miniupnpd; "
                                 "nft flush chain inet miniupnpd postrouting_miniupnpd; "
                                 "nft flush chain inet miniupnpd miniupnpd")
        self.start()

    def mappings(self):
        """The rules that send packets in, as nft prints them."""
        text = self.net.shell(self.nat, "nft list chain inet miniupnpd prerouting_miniupnpd")
        return [line.strip() for line in text.splitlines() if "dnat" in line]
