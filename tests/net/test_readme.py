# SPDX-License-Identifier: BSD-2-Clause
"""Every command in the README is run, or at least exists."""

import os
import re
import shutil
import signal
import subprocess

from topology import MEDIATOR

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def shell_blocks():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.findall(r"```sh\n(.*?)```", file.read(), flags=re.S)


def test_commands_of_eyelet(programs):
    """Those with "# on a" or "# on b" behind them, in their order: all but the last go on until it ends."""
    lines = [(line, match.group(1)) for block in shell_blocks() for line in block.splitlines()
             if (match := re.search(r"# on ([ab])\b", line))]
    assert lines
    with programs.net() as net:
        net.mediator()
        peers = {"a": net.peer("a"), "b": net.peer("b")}
        with open(net.path("data.tar"), "wb") as file:
            file.write(b"x" * 100000)
        os.makedirs(net.path("inbox"), exist_ok=True)
        started = []
        for line, host in lines:
            environment = peers[host].environment(MEDIATOR[0])
            environment.update(ID_OF_A=peers["a"].id, ID_OF_B=peers["b"].id,
                               PATH=os.path.dirname(programs.eyelet) + ":" + os.environ["PATH"])
            command = ["sh", "-c", f"cd {net.path()} && {line}"]
            process = net.start(host, command, "readme", env=environment)
            started.append(process)
            if line is not lines[-1][0]:
                net.wait_until(lambda said=process, own=peers[host].id: own in said.err() or not said.running(), 10,
                               "it says under which ID it waits")
        for process in reversed(started):
            assert process.wait(30) == 0, process.err()
        assert os.path.getsize(net.path("inbox", "data.tar")) == 100000


def test_questions_to_eyelet(programs):
    """Those without a host behind them: a asks, while b listens."""
    lines = [line.split("#")[0].strip() for block in shell_blocks() for line in block.splitlines()
             if line.startswith("eyelet ") and not re.search(r"# on [ab]\b", line)]
    assert len(lines) > 2, lines
    with programs.net() as net:
        net.mediator()
        a, b = net.peer("a"), net.peer("b")
        b.start("listen", "--allow", a.id, "--exec", "cat").wait_event("registered")
        environment = a.environment(MEDIATOR[0])
        environment.update(ID_OF_B=b.id, PATH=os.path.dirname(programs.eyelet) + ":" + os.environ["PATH"])
        for line in lines:
            process = net.start("a", ["sh", "-c", f"exec {line}"], "readme", env=environment)
            if "ping" in line:
                net.wait_until(lambda said=process: b"reply" in said.out() or not said.running(), 30, "a reply")
                process.signal(signal.SIGINT)
            assert process.wait(30) == 0 and process.out(), f"{line}: {process.err()}"


def test_demo(programs):
    """What ./demo does once it has built: twice, and stopped in the middle."""
    command = [os.path.join(ROOT, "scripts", "demo-network"), programs.build, "32"]
    for _ in range(2):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout
        assert re.search(r"^The same\. The hole: \S+ <--> \S+$", done.stdout, re.M), done.stdout
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stopped:
        stopped.stdout.readline()
        stopped.send_signal(signal.SIGINT)
        said, _ = stopped.communicate(timeout=30)
    assert stopped.returncode == 130 and "the network is removed" in said, said
    assert f"eyelet-{stopped.pid}-" not in subprocess.run(["ip", "netns", "list"], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_other_commands_exist(programs):  # pylint: disable=unused-argument
    for block in shell_blocks():
        for line in block.splitlines():
            words = [word for word in line.split("#")[0].split() if not re.match(r"[A-Z]+=", word)]
            if words and words[0] not in ("eyelet", "eyeletd", "export"):
                path = os.path.join(ROOT, words[0])
                assert shutil.which(words[0]) or os.access(path, os.X_OK), line
