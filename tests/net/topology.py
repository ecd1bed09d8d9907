# SPDX-License-Identifier: BSD-2-Clause
"""Hosts, NATs and a small Internet of network namespaces, over real netfilter.

       a  --- nat_a ---\\            /--- nat_b --- b
     a2 --/             \\          /
                          core ----
                            |
                           med (two addresses)

Every namespace is named eyelet-PID-NAME after the process that made it, so that those of a process that
died can be found and removed. docs/lab.md draws and explains it.
"""

import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

PREFIX = "eyelet"
MEDIATOR = ["192.0.2.1", "192.0.2.2"]
WAN = {"nat_a": "203.0.113.10", "nat_b": "198.51.100.20"}
WAN_ROUTER = {"nat_a": "203.0.113.1", "nat_b": "198.51.100.1"}
LAN = {"nat_a": "192.168.11", "nat_b": "192.168.22"}
LAN_MAC = {"nat_a": "02:00:00:00:00:0a", "nat_b": "02:00:00:00:00:0b"}
ISP_LAN = {"nat_a": "100.64.11", "nat_b": "100.64.22"}  # between the two layers of "cgn"
OPEN_LAN = {"nat_a": "203.0.113", "nat_b": "198.51.100"}  # upper half: hosts behind a plain router
MEDIATOR6 = ["2001:db8:1::1", "2001:db8:1::2"]
NET6 = {"nat_a": "2001:db8:a", "nat_b": "2001:db8:b"}  # /48: subnet 0 is outside, subnet 1 the LAN
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """Something that a person should read: no traceback needed."""


def run(*command, check=True, **options):
    """A command that must succeed; its output. Ctrl-C on the terminal is for us, not for it."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                          **options)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


def die_with_parent():
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def namespaces():
    """Names and process IDs of all namespaces of ours, also of processes that died."""
    found = []
    for line in run("ip", "netns", "list").splitlines():
        match = re.match(rf"({PREFIX}-(\d+)-\w+)", line)
        if match:
            found.append((match.group(1), int(match.group(2))))
    return found


def remove_namespace(name):
    for pid in run("ip", "netns", "pids", name, check=False).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except (ValueError, ProcessLookupError):
            pass
    run("ip", "netns", "del", name, check=False)


def sweep():
    """Removes what dead processes left behind."""
    for name, pid in namespaces():
        if not os.path.exists(f"/proc/{pid}"):
            remove_namespace(name)
    for folder in glob.glob(os.path.join(tempfile.gettempdir(), f"{PREFIX}-net-*-*")):
        if not os.path.exists(f"/proc/{folder.split('-')[-2]}"):
            remove_folder(folder)


def remove_folder(folder):
    run("umount", os.path.join(folder, "tmpfs"), check=False)
    shutil.rmtree(folder, ignore_errors=True)


def why_not():
    """None, or why no topology can be made here."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "iptables"):
        if not shutil.which(tool):
            return f"{tool} is not installed (scripts/install-deps test)"
    name = f"{PREFIX}-{os.getpid()}-try"
    try:
        run("ip", "netns", "add", name)
        run("ip", "netns", "exec", name, "iptables", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
    except Failed as failure:
        return str(failure)
    finally:
        remove_namespace(name)
    return None


class Process:
    """A program in a namespace, with its output in files, ended with the topology."""

    def __init__(self, command, directory, name, stdin=subprocess.DEVNULL, stdout=None, env=None,
                 cwd=None):
        self.name = name
        self.command = command
        self.out_path = os.path.join(directory, name + ".out")
        self.err_path = os.path.join(directory, name + ".err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(command, stdin=stdin, stdout=stdout or out, stderr=err, env=env, cwd=cwd,
                                          preexec_fn=die_with_parent, start_new_session=True)

    def out(self):
        with open(self.out_path, "rb") as file:
            return file.read()

    def err(self):
        with open(self.err_path, "rb") as file:
            return file.read().decode(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def wait(self, seconds):
        """Its exit code."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} still runs after {seconds} s: {' '.join(self.command)}") from None

    def signal(self, number):
        try:
            os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            pass

    def stop(self, seconds=5):
        """SIGTERM, in the end SIGKILL. Its exit code."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                return self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
        return self.popen.wait()


ANSWERS = "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
BLOCK = (20480, 21503)
# What follows the name of the target.
MASQUERADES = {
    "drop": "",
    "accept": "",
    "random": "--random-fully",
    "range": "--to-ports {}-{}".format(*BLOCK),
    "block": "--to-ports {}-{} --random".format(*BLOCK),
    "full": "",  # full cone: everything from outside goes to host a
    "hairpin": "",  # the same, also from inside
    "cgn": "",
    "blocked": "",  # UDP does not pass
}
# Which IPv6 stands beside IPv4: KIND+KIND6, such as "drop+fw6". "none" in the place of KIND: no IPv4 at all.
KINDS6 = {"fw6": "a stateful firewall lets nobody in", "open6": "no firewall"}
NAMED = {"fw6": "random+fw6", "v6only": "none+fw6"}
FIREWALLS = {"firewall": "a router whose hosts have public addresses, but let nobody in"}


class Topology:
    """Use as a context manager: everything is removed at its end, whatever happens.

    nat_a, nat_b: "drop" or "accept" (a masquerade whose WAN INPUT policy is that), "open" (a plain router:
    the host has a public address), or what MASQUERADES and FIREWALLS name; "cgn": two masquerades in a row.
    With IPv6 beside it: "drop+fw6" and so on, see KINDS6; "fw6" and "v6only" are short for what NAMED says.
    same_lan: b stands behind nat_a, beside a; there is no nat_b.
    delay: None, or the path of eyelet-delay; then rtt holds milliseconds, such as {("a", "med"): 20},
    loss per cent of every way, and late what be_late() holds back: {("med", "a"): 500}.
    """

    def __init__(self, nat_a="drop", nat_b="drop", same_lan=False, delay=None, rtt=None, loss=0, late=None):
        kinds = {"nat_a": nat_a} if same_lan else {"nat_a": nat_a, "nat_b": nat_b}
        kinds = {nat: NAMED.get(kind, kind) for nat, kind in kinds.items()}
        self.kinds = {nat: kind.split("+")[0] for nat, kind in kinds.items()}
        self.kinds6 = {nat: kind.split("+")[1] for nat, kind in kinds.items() if "+" in kind}
        self.same_lan = same_lan
        self.delay = delay
        self.rtt = rtt or {}
        self.loss = loss
        self.late = late or {}
        self.delaying = None
        self.made = []
        self.processes = []
        self.directory = None
        self.address = {"med": MEDIATOR[0]}
        self.public = {}
        self.address6 = {}

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # ---- building ----

    def ns(self, name):
        return f"{PREFIX}-{os.getpid()}-{name}"

    def _add(self, name, forward=False):
        self.made.append(name)
        run("ip", "netns", "add", self.ns(name))
        if self.kinds6:
            six = "cd /proc/sys/net/ipv6/conf; for one in all default; do echo 0 > $one/accept_dad; echo 0 > $one/accept_ra; done"
            six += "; echo 1 > all/forwarding" if forward else ""
        else:
            six = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 || true"
        self.shell(name, six + "; ip link set lo up" + ("; echo 1 > /proc/sys/net/ipv4/ip_forward" if forward else ""))

    def cable(self, one, one_device, other, other_device):
        run("ip", "link", "add", one_device, "netns", self.ns(one), "type", "veth",
            "peer", "name", other_device, "netns", self.ns(other))
        self.ip(one, "link", "set", one_device, "up")
        self.ip(other, "link", "set", other_device, "up")

    def _host(self, name, nat, number):
        """A host behind a NAT or router, on its own cable to a bridge of that router."""
        self._add(name)
        self.cable(name, "eth0", nat, f"port{number}")
        self.ip(nat, "link", "set", f"port{number}", "master", "lan")
        if self.kinds[nat] == "hairpin":  # where br_netfilter is loaded, a bridge sees it as sent back
            self.ip(nat, "link", "set", f"port{number}", "type", "bridge_slave", "hairpin", "on")
        if nat in self.kinds6:
            self.address6[name] = f"{NET6[nat]}:1::{10 + number}"
            self.ip(name, "addr", "add", f"{self.address6[name]}/64", "dev", "eth0", "nodad")
            self.ip(name, "route", "add", "default", "via", f"{NET6[nat]}:1::1")
        if self.kinds[nat] == "none":
            return
        public = self._is_public(nat)
        base = OPEN_LAN[nat] if public else LAN[nat]
        gateway = f"{base}.129" if public else f"{base}.1"
        address = f"{base}.{130 + number}" if public else f"{base}.{10 + number}"
        self.ip(name, "addr", "add", f"{address}/{25 if public else 24}", "dev", "eth0")
        self.ip(name, "route", "add", "default", "via", gateway)
        self.address[name] = address
        self.public[name] = address if public else WAN[nat]

    def _nat(self, nat):
        """A router between a LAN (the bridge "lan") and the core ("wan")."""
        kind = self.kinds[nat]
        self._add(nat, forward=True)
        # An address of its own: otherwise it is that of a port, and another one when that port goes.
        self.ip(nat, "link", "add", "lan", "address", LAN_MAC[nat], "type", "bridge", "forward_delay", "0")
        self.ip(nat, "link", "set", "lan", "up")
        if nat in self.kinds6:
            self._router6(nat)
        if kind == "none":
            return
        gateway = f"{OPEN_LAN[nat]}.129/25" if self._is_public(nat) else f"{LAN[nat]}.1/24"
        self.ip(nat, "addr", "add", gateway, "dev", "lan")
        answers = ANSWERS
        if kind == "open":
            return
        if kind in FIREWALLS:
            rules = [f"-A FORWARD -i wan {answers}", "-A FORWARD -i wan -j DROP"]
        elif kind in MASQUERADES:
            rules = [f"-t nat -A POSTROUTING -o wan -p udp -j MASQUERADE {MASQUERADES[kind]}",
                     "-t nat -A POSTROUTING -o wan -j MASQUERADE"]
        else:
            raise Failed(f"unknown kind of NAT: {kind}")
        if kind in ("full", "hairpin"):
            rules.append(f"-t nat -A PREROUTING -d {WAN[nat]} -p udp -j DNAT --to {LAN[nat]}.10"
                         + (" -i wan" if kind == "full" else ""))
        if kind == "hairpin":
            rules.append(f"-t nat -A POSTROUTING -s {LAN[nat]}.0/24 -d {LAN[nat]}.0/24 -p udp -j SNAT --to {WAN[nat]}")
        if kind == "blocked":
            rules.append("-A FORWARD -p udp -j DROP")
        if kind != "accept":
            rules += [f"-A INPUT -i wan {answers}", "-A INPUT -i wan -j DROP"]
        for rule in rules:
            self.iptables(nat, *rule.split())

    def _router6(self, nat):
        kind = self.kinds6[nat]
        if kind not in KINDS6:
            raise Failed(f"unknown kind of IPv6: {kind}")
        self.ip(nat, "addr", "add", f"{NET6[nat]}:1::1/64", "dev", "lan", "nodad")
        if kind == "fw6":
            for rule in (f"-A FORWARD -i wan {ANSWERS}", "-A FORWARD -i wan -j DROP", f"-A INPUT -i wan {ANSWERS}",
                         "-A INPUT -i wan -p icmpv6 -j ACCEPT", "-A INPUT -i wan -j DROP"):
                self.ip6tables(nat, *rule.split())

    def _is_public(self, nat):
        """Whether its hosts have public addresses."""
        return self.kinds[nat] == "open" or self.kinds[nat] in FIREWALLS

    def outer(self, nat):
        """The namespace whose device "wan" has the public address."""
        return f"isp_{nat[-1]}" if self.kinds[nat] == "cgn" else nat

    def _isp(self, nat):
        """The second layer, between the home router and the core."""
        isp = self.outer(nat)
        self._add(isp, forward=True)
        self.cable(nat, "wan", isp, "lan")
        self.ip(isp, "addr", "add", f"{ISP_LAN[nat]}.1/24", "dev", "lan")
        self.ip(nat, "addr", "add", f"{ISP_LAN[nat]}.2/24", "dev", "wan")
        self.ip(nat, "route", "add", "default", "via", f"{ISP_LAN[nat]}.1")
        for rule in ("-t nat -A POSTROUTING -o wan -j MASQUERADE",
                     "-A INPUT -i wan -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "-A INPUT -i wan -j DROP"):
            self.iptables(isp, *rule.split())

    def _core_by_cable(self):
        self._add("core", forward=True)
        for nat in self.kinds:
            outer = self.outer(nat)
            self.cable(outer, "wan", "core", nat)
            if nat in self.kinds6:
                self.ip("core", "addr", "add", f"{NET6[nat]}::1/64", "dev", nat, "nodad")
                self.ip("core", "route", "add", f"{NET6[nat]}:1::/64", "via", f"{NET6[nat]}::10")
            self.ip("core", "addr", "add", f"{WAN_ROUTER[nat]}/25", "dev", nat)
            self.add_wan_addresses(nat)
            if self._is_public(nat):
                self.ip("core", "route", "add", f"{OPEN_LAN[nat]}.128/25", "via", WAN[nat])
        self.cable("med", "wan", "core", "med")
        self.ip("core", "addr", "add", "192.0.2.254/24", "dev", "med")
        if self.kinds6:
            self.ip("core", "addr", "add", "2001:db8:1::fe/64", "dev", "med", "nodad")
        self._mediator_addresses("via", "192.0.2.254", "via", "2001:db8:1::fe")

    def _mediator_addresses(self, *gateway):
        for address in MEDIATOR:
            self.ip("med", "addr", "add", f"{address}/24", "dev", "wan")
        self.ip("med", "route", "add", "default", *gateway[:2])
        if self.kinds6:
            for address in MEDIATOR6:
                self.ip("med", "addr", "add", f"{address}/64", "dev", "wan", "nodad")
            self.ip("med", "-6", "route", "add", "default", *gateway[2:])

    def add_wan_addresses(self, nat):
        """Addresses and default routes of a router's outside, also after its device was down."""
        outer = self.outer(nat)
        if self.kinds[nat] != "none":
            self.ip(outer, "addr", "replace", f"{WAN[nat]}/25", "dev", "wan")
            self.ip(outer, "route", "replace", "default", *(("dev", "wan") if self.delay else ("via", WAN_ROUTER[nat])))
        if nat in self.kinds6:
            self.ip(outer, "addr", "replace", f"{NET6[nat]}::10/64", "dev", "wan", "nodad")
            self.ip(outer, "-6", "route", "replace", "default", *(("dev", "wan") if self.delay else ("via", f"{NET6[nat]}::1")))

    def _core_by_delay(self):
        behind = {"med": "192.0.2.0/24,2001:db8:1::/48", "a": f"{OPEN_LAN['nat_a']}.0/24,{NET6['nat_a']}::/48",
                  "b": f"{OPEN_LAN['nat_b']}.0/24,{NET6['nat_b']}::/48"}
        command = [self.delay]
        for name, prefix in behind.items():
            space = name if name == "med" else self.outer(f"nat_{name}") if f"nat_{name}" in self.kinds else None
            if space:
                command += ["--link", f"{name}={self.ns(space)},wan,{prefix}"]
        for (one, other), ms in self.rtt.items():
            command += ["--rtt", f"{one}:{other}={ms}"]
        names = [word.split("=")[0] for word in command if "=" in word and "," in word]
        if self.loss:
            for one in names:
                for other in names:
                    if one != other:
                        command += ["--loss", f"{one}:{other}={self.loss}"]
        for (one, other), ms in self.late.items():
            command += ["--late", f"{one}:{other}={ms}"]
        self.delaying = self._start(command, "delay")
        self.wait_until(lambda: b"ready" in self.delaying.out() or not self.delaying.running(), 5, "eyelet-delay is ready")
        if not self.delaying.running():
            raise Failed(f"eyelet-delay ended: {self.delaying.err().strip()}")
        for nat in self.kinds:
            self.add_wan_addresses(nat)
        self._mediator_addresses("dev", "wan", "dev", "wan")

    def _build(self):
        sweep()
        self.directory = tempfile.mkdtemp(prefix=f"{PREFIX}-net-{os.getpid()}-")
        self._add("med")
        for nat, kind in self.kinds.items():
            self._nat(nat)
            if kind == "cgn":
                self._isp(nat)
        if self.delay:
            self._core_by_delay()
        else:
            self._core_by_cable()
        self._host("a", "nat_a", 0)
        self._host("b", "nat_a" if self.same_lan else "nat_b", 1)

    def close(self):
        """Removes everything, undisturbed by a second Ctrl-C."""
        stops = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, stops)
        try:
            self._remove()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _remove(self):
        for process in reversed(self.processes):
            process.signal(signal.SIGKILL)
        for process in self.processes:
            process.popen.wait()
        for name in reversed(self.made):
            remove_namespace(self.ns(name))
        self.made, self.processes = [], []
        if self.directory:
            remove_folder(self.directory)

    # ---- using ----

    def ip(self, name, *command):
        return run("ip", "-n", self.ns(name), *command)

    def ip_batch(self, name, *commands):
        """Several at once, so that nobody sees much of what lies between them."""
        return run("ip", "-n", self.ns(name), "-batch", "-", input="\n".join(commands) + "\n")

    def iptables(self, name, *rule):
        return run("ip", "netns", "exec", self.ns(name), "iptables", "-w", *rule)

    def ip6tables(self, name, *rule):
        return run("ip", "netns", "exec", self.ns(name), "ip6tables", "-w", *rule)

    def shell(self, name, script):
        return run("ip", "netns", "exec", self.ns(name), "sh", "-c", script)

    def _start(self, command, name, **options):
        process = Process([str(word) for word in command], self.directory, name, **options)
        self.processes.append(process)
        return process

    def be_late(self):
        """From now on (or, the second time, no longer) what `late` names is held back."""
        before = self.delaying.out().count(b"\n")
        self.delaying.signal(signal.SIGUSR1)
        self.wait_until(lambda: self.delaying.out().count(b"\n") > before, 5, "eyelet-delay has heard it")

    def start(self, where, command, name=None, **options):
        """Starts a program in namespace `where`."""
        name = f"{len(self.processes):02}-{name or os.path.basename(command[0])}-{where}"
        return self._start(["ip", "netns", "exec", self.ns(where), *command], name, **options)

    def path(self, *parts):
        """A path in the topology's own temporary folder."""
        return os.path.join(self.directory, *parts)

    @staticmethod
    def wait_until(condition, seconds, what):
        end = time.monotonic() + seconds
        while True:
            result = condition()
            if result:
                return result
            if time.monotonic() > end:
                raise Failed(f"not within {seconds} s: {what}")
            time.sleep(0.01)

    def logs(self, lines=15):
        """The end of what every program said."""
        text = []
        for process in self.processes:
            for label, content in (("stderr", process.err()), ("stdout", process.out()[-4000:].decode(errors="replace"))):
                if content.strip():
                    tail = "\n".join("    " + line[:300] for line in content.strip().splitlines()[-lines:])
                    text.append(f"  {process.name} {label} (exit {process.popen.poll()}):\n{tail}")
        return "\n".join(text)
