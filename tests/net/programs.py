# SPDX-License-Identifier: BSD-2-Clause
"""Our programs in a topology: a mediator, and peers with a key and a configuration folder each."""

import hashlib
import json
import os
import re
import signal
import subprocess

from topology import MEDIATOR, MEDIATOR6, Failed, Process, Topology

BAD_SIGNS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion `")


class Skipped(Exception):
    """Why a test cannot be run here."""


def slow(limit_s):
    """Decorates a test that takes minutes: it is run only if asked for, and may take that long."""
    def mark(test):
        test.slow = True
        test.limit_s = limit_s
        return test
    return mark


def patient(test):
    """Decorates a test that waits most of its time and needs little of the processor: it is run beside the others."""
    test.patient = True
    return test


def events_in(text):
    """The JSON events in the output of a program."""
    events = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                events.append(json.loads(line))
            except ValueError:
                pass  # the last line, half written
    return events


def hash_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class Programs:
    """The programs of one build folder. Peers on host b run the eyelet `other`, if there is one."""

    def __init__(self, build, other=None):
        self.build = build
        self.other = other
        self.eyelet = os.path.join(build, "src", "cli", "eyelet")
        self.eyeletd = os.path.join(build, "src", "mediator", "eyeletd")
        self.delay = os.path.join(build, "lab", "eyelet-delay")

    def eyelet_on(self, host):
        return self.existing(self.other if self.other and host == "b" else self.eyelet)

    def helper(self, name):
        """A program of tests/net."""
        return self.existing(os.path.join(self.build, "tests", "net", name))

    @staticmethod
    def existing(path):
        if not os.path.exists(path):
            raise Failed(f"{path} was not built")
        return path

    def net(self, **options):
        if options.get("rtt"):
            options["delay"] = self.existing(self.delay)
        return Net(self, **options)


class Verb(Process):
    """One run of eyelet."""

    def events(self, kind=None):
        return [event for event in events_in(self.err()) if kind in (None, event.get("event"))]

    def wait_event(self, kind, seconds=10):
        """The first event of that kind."""
        Topology.wait_until(lambda: self.events(kind) or not self.running(), seconds, f"{self.name} says {kind}")
        events = self.events(kind)
        if not events:
            raise Failed(f"{self.name} ended with {self.popen.returncode} without saying {kind}")
        return events[0]

    def path(self):
        """The last path that it took."""
        events = self.events("path")
        if not events:
            raise Failed(f"{self.name} never had a path")
        return events[-1]

    def expect_exit(self, code, seconds=30):
        got = self.wait(seconds)
        if got != code:
            raise Failed(f"{self.name} ended with {got}, not {code}")
        return self

    def error_code(self):
        """The code of its error event."""
        errors = self.events("error")
        return errors[-1].get("code") if errors else None


class Peer:
    """A key, a configuration folder and a host."""

    def __init__(self, net, host, name):
        self.net = net
        self.host = host
        self.name = name
        self.home = net.path(f"home-{name}")
        os.makedirs(self.home, mode=0o700)
        self.id = self.run("id").out().decode().split()[-1]

    def environment(self, mediator):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("EYELET")}
        environment.update(HOME=self.home, XDG_CONFIG_HOME=self.home, EYELET_MEDIATOR=mediator or self.net.mediator_name(self.host))
        return environment

    def start(self, verb, *words, flags=("--json",), mediator=None, **options):
        """Starts `eyelet FLAGS VERB WORDS`."""
        command = ["ip", "netns", "exec", self.net.ns(self.host), self.net.programs.eyelet_on(self.host), *flags, verb, *words]
        name = f"{len(self.net.processes):02}-{self.name}-{verb}"
        process = Verb([str(word) for word in command], self.net.directory, name, env=self.environment(mediator), **options)
        self.net.processes.append(process)
        return process

    def run(self, verb, *words, **options):
        """The same, and waits until it has ended well."""
        flags = options.pop("flags", ())
        return self.start(verb, *words, flags=flags, **options).expect_exit(0)

    def config(self, *parts):
        return os.path.join(self.home, "eyelet", *parts)


class Net(Topology):
    """A topology with a build's programs. At its end every program is told to stop, and whatever a
    sanitizer said in between is a failure."""

    def __init__(self, programs, **options):
        super().__init__(**options)
        self.programs = programs
        self.mediators = 0
        self.failing = False

    def __exit__(self, kind, failure, trace):
        try:
            for process in reversed(self.processes):
                if not process.name.startswith("delay"):
                    process.signal(signal.SIGTERM)
            for process in self.processes:
                if not process.name.startswith("delay"):
                    process.stop(10)
            if failure is None:
                self.check_logs()
        except BaseException as late:
            late.logs = self.logs()
            raise
        finally:
            if failure is not None:
                failure.logs = self.logs()
            self.close()

    def check_logs(self):
        for process in self.processes:
            text = process.err()
            for sign in BAD_SIGNS:
                if sign in text:
                    raise Failed(f"{process.name}: {sign}")
            if process.popen.returncode in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE):
                raise Failed(f"{process.name} died of signal {-process.popen.returncode}")

    def mediator_name(self, host):
        return MEDIATOR[0] if host in self.address else f"[{MEDIATOR6[0]}]"

    def mediator(self, state="state", config=None, addresses=None, host="med"):
        """Starts eyeletd and waits until it is ready."""
        addresses = addresses or MEDIATOR + (MEDIATOR6 if self.kinds6 else [])
        directory = self.path(state)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        command = [self.programs.existing(self.programs.eyeletd), "--state", directory]
        for address in addresses:
            command += ["--address", address]
        if config:
            path = self.path(f"eyeletd-{self.mediators}.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write(config)
            command += ["--config", path]
        self.mediators += 1
        process = self.start(host, command, "eyeletd")
        self.wait_until(lambda: b"\n" in process.out() or "ready" in process.err() or not process.running(), 10,
                        "eyeletd is ready")
        if not process.running():
            raise Failed(f"eyeletd ended with {process.popen.returncode}")
        return process

    def mediator_id(self, process):
        """From the line with which eyeletd says that it is ready."""
        match = re.search(r"\b[a-z2-7]{52}\b", process.out().decode() + process.err())
        if not match:
            raise Failed("eyeletd does not say its ID when it is ready")
        return match.group(0)

    def peer(self, host, name=None):
        return Peer(self, host, name or host)

    def make_file(self, name, size_bytes):
        """A file of real data: what this machine has in /usr, cut to size."""
        path = self.path(name)
        with open(path, "wb") as out:
            tar = subprocess.Popen(["tar", "-cf", "-", "-C", "/", "--ignore-failed-read", "usr/bin", "usr/lib", "usr/share"],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            left = size_bytes
            while left and (chunk := tar.stdout.read(min(left, 1 << 20))):
                out.write(chunk)
                left -= len(chunk)
            tar.kill()
            tar.wait()
            tar.stdout.close()
        if left:
            raise Failed(f"this machine has too little in /usr to make a file of {size_bytes} bytes")
        return path
