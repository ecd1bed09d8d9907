# SPDX-License-Identifier: BSD-2-Clause
"""A real eyeletd and real eyelets over 127.0.0.1: no namespaces, no root."""
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from topology import die_with_parent

NOBODY = "cdg665yxrcvw36zo2ma7wjg6jwfxz5cv2riwredm2rjntjwnvnya"  # a key that nobody has
MIB = 1 << 20


class Loopback:
    """A mediator, and peers with a configuration folder each, all in one temporary folder."""

    def __init__(self, build):
        self.eyelet = os.path.join(build, "src", "cli", "eyelet")
        self.eyeletd = os.path.join(build, "src", "mediator", "eyeletd")
        self.folder = tempfile.mkdtemp(prefix="eyelet-cli-")
        self.started = []
        self.port = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        bad = []
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()
                bad.append(f"{process.args} did not end when told to")
            text = self.said(process)
            if "Sanitizer" in text or "runtime error" in text or process.returncode in (-6, -7, -8, -11):
                bad.append(f"{process.args} ended with {process.returncode}:\n{text}")
        shutil.rmtree(self.folder)
        assert not bad, "\n".join(bad)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def start(self, command, config=None, **options):
        """What it says on stderr goes to a file, so that nothing blocks."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("EYELET_")}
        environment["EYELET_CONFIG"] = self.path(config or "nobody")
        environment["EYELET_MEDIATOR"] = f"127.0.0.1:{self.port}"
        log = self.path(f"{len(self.started):02}.err")
        with open(log, "wb") as err:
            options.setdefault("stdout", err)
            options.setdefault("preexec_fn", die_with_parent)
            process = subprocess.Popen(command, stderr=err, env=environment, **options)
        process.log = log
        self.started.append(process)
        return process

    @staticmethod
    def said(process):
        with open(process.log, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()

    def events(self, process, kind=None):
        found = [json.loads(line) for line in self.said(process).splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for event in found if kind in (None, event["event"])]

    def mediator(self, state="state", port=None):
        for _ in range(20):
            self.port = port or random.randrange(20000, 32000)
            process = self.start([self.eyeletd, "--state", self.path(state), "--address", "127.0.0.1",
                                  "--address", "127.0.0.2", "--port", str(self.port),
                                  "--bounce-port", str(random.randrange(33000, 60000))])
            wait_for(lambda: "ready" in self.said(process) or process.poll() is not None, "eyeletd is ready")
            if process.poll() is None:
                return process
            assert not port, self.said(process)
        raise AssertionError(f"eyeletd does not start: {self.said(process)}")

    def run(self, name, *words, flags=("--json",), **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        return self.start([self.eyelet, *flags, *words], name, **options)

    def id(self, name):
        process = self.run(name, "id", flags=())
        text = process.communicate(timeout=20)[0].decode().strip()
        assert process.returncode == 0 and len(text) == 52, f"{process.returncode} {text} {self.said(process)}"
        return text

    def listen(self, name, *words, **options):
        process = self.run(name, "listen", *words, **options)
        self.wait_event(process, "listening")
        return process

    def recv(self, name, peer, folder, *words, **options):
        process = self.run(name, "recv", "--peer", peer, "-o", folder, *words, **options)
        self.wait_event(process, "listening")
        return process

    def wait_event(self, process, kind):
        wait_for(lambda: self.events(process, kind) or process.poll() is not None, f"{kind}")
        assert self.events(process, kind), f"{process.args} never said {kind}:\n{self.said(process)}"

    def expect(self, process, code, seconds=60):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{process.args} does not end:\n{self.said(process)}") from None
        assert process.returncode == code, f"{process.args} ended with {process.returncode}, not {code}:\n{self.said(process)}"
        return process

    def expect_error(self, process, code, name):
        self.expect(process, code)
        errors = [event["code"] for event in self.events(process, "error")]
        assert name in errors, f"{errors} without {name}:\n{self.said(process)}"

    def write(self, name, data):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path


def wait_for(ready, what, seconds=20):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def big(size, seed):
    return random.Random(seed).randbytes(size)


@contextlib.contextmanager
def loopback(programs):
    with Loopback(programs.build) as net:
        net.mediator()
        yield net


def main(tests):
    """Runs the tests of one file, by itself."""
    class Build:
        build = os.path.abspath(os.environ.get("EYELET_BUILD", "build"))
    failed = passed = 0
    for name, test in list(tests.items()):
        if not name.startswith("test_") or (sys.argv[1:] and not any(part in name for part in sys.argv[1:])):
            continue
        start = time.monotonic()
        try:
            test(Build)
            passed += 1
            print(f"ok   {name[5:].replace('_', ' ')} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAIL {name[5:].replace('_', ' ')}", flush=True)
            traceback.print_exc()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
