#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The program contract on this machine alone: a real eyeletd and real eyelets over 127.0.0.1, no namespaces,
no root. tests/net/run runs these among the others; by itself:

   EYELET_BUILD=build tests/net/test_cli_loopback.py [PART OF A NAME]...
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

from loopback import MIB, NOBODY, Loopback, big, loopback, main, read, wait_for


def test_pipe_of_100_mb_both_ways(programs):
    with loopback(programs) as net:
        one, two = net.write("one", big(100 * 10**6, 1)), net.write("two", big(100 * 10**6, 2))
        with open(one, "rb") as a, open(two, "rb") as b, open(net.path("out-a"), "wb") as out_a, open(net.path("out-b"), "wb") as out_b:
            listen = net.listen("b", "--allow", net.id("a"), stdin=b, stdout=out_b)
            call = net.run("a", "connect", net.id("b"), stdin=a, stdout=out_a)
            net.expect(call, 0)
            net.expect(listen, 0)
        assert read(net.path("out-a")) == read(two) and read(net.path("out-b")) == read(one)
        closed = net.events(call, "closed")[0]
        assert closed["bytes_in"] == closed["bytes_out"] == 100 * 10**6, closed
        for verb in (call, listen):
            kinds = [event["event"] for event in net.events(verb)]
            assert all(event["v"] == 1 for event in net.events(verb))
            assert [kind for kind in kinds if kind in ("registered", "connected", "first_byte", "closed")] == \
                ["registered", "connected", "first_byte", "closed"], kinds


def test_pipes_between_shell_commands(programs):
    """Neither end is a file, and each direction ends on its own."""
    with loopback(programs) as net:
        listen = net.listen("b", "--allow", "any", stdin=subprocess.PIPE)
        call = net.run("a", "connect", net.id("b"), stdin=subprocess.PIPE)
        call.stdin.write(b"question")
        call.stdin.close()
        assert listen.stdout.read() == b"question"  # its end has come, while the other way is still open
        listen.stdin.write(b"answer")
        listen.stdin.close()
        assert call.stdout.read() == b"answer"
        net.expect(call, 0)
        net.expect(listen, 0)


def test_callee_speaks_first_to_a_silent_caller(programs):
    with loopback(programs) as net:
        listen = net.listen("b", "--allow", "any", stdin=subprocess.PIPE)
        call = net.run("a", "connect", net.id("b"), stdin=subprocess.PIPE)
        listen.stdin.write(b"banner")
        listen.stdin.flush()
        assert call.stdout.read(6) == b"banner"
        call.stdin.close()
        listen.stdin.close()
        net.expect(call, 0)
        net.expect(listen, 0)


def test_to_a_tcp_port(programs):
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def serve():
        while True:
            try:
                conn, _ = server.accept()
            except OSError:
                return
            with conn:
                got = b"".join(iter(lambda: conn.recv(1 << 16), b""))  # until the half-close
                conn.sendall(got[::-1])
    threading.Thread(target=serve, daemon=True).start()
    with loopback(programs) as net:
        net.listen("b", "--allow", "any", "--to", f"127.0.0.1:{port}")
        data = big(5 * MIB, 6)
        for _ in range(2):
            with open(net.write("data", data), "rb") as file:
                call = net.run("a", "connect", net.id("b"), stdin=file)
                assert call.stdout.read() == data[::-1]
                net.expect(call, 0)
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        net.expect_error(net.run("a", "connect", net.id("b")), 1, "closed")


def test_names_of_peers(programs):
    with loopback(programs) as net:
        caller, callee = net.id("a"), net.id("b")
        net.write("a/known_peers", f"# friends\nberta {callee}\n".encode())
        net.write("b/known_peers", f"anton {caller}\n".encode())
        net.write("b/authorized_peers", b"anton # the only one\n")
        net.listen("b", "--exec", "echo hello")
        call = net.run("a", "connect", "berta")
        assert call.communicate(timeout=20)[0] == b"hello\n"
        net.expect(call, 0)
        net.expect_error(net.run("c", "connect", callee), 4, "no-such-peer")
        net.expect_error(net.run("a", "connect", "nobody"), 2, "usage")


def test_send_a_folder(programs):
    with loopback(programs) as net:
        content = {"empty": b"", "deep/one": b"1", "deep/er/two words": big(70001, 7), "deep/\u00fcml\u00e4ut": b"3",
                   "big": big(30 * MIB, 8)}
        content.update({f"many/{number:04}": b"%d" % number for number in range(700)})
        for name, data in content.items():
            net.write(os.path.join("tree", name), data)
        os.chmod(net.path("tree", "big"), 0o640)
        os.utime(net.path("tree", "big"), (1000000000, 1000000000))
        recv = net.recv("b", net.id("a"), net.path("in"))
        send = net.run("a", "send", net.path("tree") + "/", net.path("tree", "deep", "one"), "--peer", net.id("b"))
        net.expect(send, 0)
        net.expect(recv, 0)
        for name, data in content.items():
            assert read(net.path("in", "tree", name)) == data, name
        assert read(net.path("in", "one")) == b"1"
        state = os.stat(net.path("in", "tree", "big"))
        assert state.st_mtime == 1000000000 and state.st_mode & 0o777 == 0o640 & ~current_umask(), oct(state.st_mode)
        assert sum(len(files) for _, _, files in os.walk(net.path("in"))) == len(content) + 1
        assert all(event["result"] == "ok" for event in net.events(send, "file"))


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_existing_files_are_kept(programs):
    with loopback(programs) as net:
        net.write("in/data", b"precious")
        path, other = net.write("data", b"new"), net.write("other", b"other")
        for words, code, want in (((), 1, b"precious"), (("--overwrite",), 0, b"new")):
            recv = net.recv("b", net.id("a"), net.path("in"), *words)
            send = net.run("a", "send", path, *([] if words else [other]), "--peer", net.id("b"))
            net.expect(send, code)
            net.expect(recv, code)
            assert read(net.path("in", "data")) == want
            assert read(net.path("in", "other")) == b"other"
            if code:
                net.expect_error(send, 1, "exists")


def test_what_cannot_be_sent(programs):
    """Found before anybody is called: there is no peer."""
    with loopback(programs) as net:
        os.makedirs(net.path("folder"))
        os.symlink("/etc/passwd", net.path("folder", "link"))
        os.mkfifo(net.path("fifo"))
        net.write("x\x1b]0;owned\x07y", b"x")
        net.write("one/same", b"1")
        net.write("two/same", b"2")
        for paths in (("missing",), ("folder",), ("folder/link",), ("fifo",), ("x\x1b]0;owned\x07y",), ("one/same", "two/same")):
            send = net.run("a", "send", *(net.path(path) for path in paths), "--peer", NOBODY, flags=())
            net.expect(send, 1)
            assert "\x1b" not in net.said(send) and "eyelet:" in net.said(send), net.said(send)
        send = net.run("a", "send", net.path("x\x1b]0;owned\x07y"), "--peer", NOBODY)
        net.expect_error(send, 1, "file")


def test_what_cannot_be_read(programs):
    with loopback(programs) as net:
        os.chmod(net.write("secret", b"x"), 0)
        net.write("folder/plain", b"x")
        os.chmod(net.write("folder/secret", b"x"), 0)
        os.makedirs(net.path("locked"), 0)
        # what root may read in spite of the mode is its capabilities' doing
        plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
        for path in ("secret", "folder", "locked"):
            send = net.start([*plain, net.eyelet, "send", net.path(path), "--peer", NOBODY], "a")
            net.expect(send, 1)
            assert "cannot be read: Permission denied" in net.said(send), net.said(send)


def test_full_disk(programs):
    """A limit of the file size stands in for a small disk."""
    with loopback(programs) as net:
        path = net.write("data", big(20 * MIB, 9))
        net.write("small", b"small")
        limited = ["prlimit", f"--fsize={8 * MIB}", net.eyelet, "--json", "recv", "--peer", net.id("a"), "-o", net.path("in")]
        recv = net.start(limited, "b", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        net.wait_event(recv, "listening")
        send = net.run("a", "send", path, net.path("small"), "--peer", net.id("b"))
        net.expect_error(send, 1, "disk-full")
        net.expect_error(recv, 1, "disk-full")
        assert os.listdir(net.path("in")) == ["small"], os.listdir(net.path("in"))


def test_interrupted_receiver_leaves_nothing(programs):
    with loopback(programs) as net:
        with open(net.path("huge"), "wb") as file:
            file.truncate(3 << 30)
        recv = net.recv("b", net.id("a"), net.path("in"))
        send = net.run("a", "send", net.path("huge"), "--peer", net.id("b"))
        net.wait_event(recv, "first_byte")
        recv.send_signal(signal.SIGINT)
        net.expect(recv, 130)
        net.expect(send, 1)
        assert os.listdir(net.path("in")) == [], os.listdir(net.path("in"))


def test_killed_sender_leaves_nothing(programs):
    with loopback(programs) as net:
        with open(net.path("huge"), "wb") as file:
            file.truncate(3 << 30)
        recv = net.recv("b", net.id("a"), net.path("in"))
        send = net.run("a", "send", net.path("huge"), "--peer", net.id("b"))
        net.wait_event(recv, "first_byte")
        send.terminate()
        net.expect(recv, 1)
        assert os.listdir(net.path("in")) == [], os.listdir(net.path("in"))


def test_sender_that_cannot_say_goodbye(programs):
    """The receiver says what it waits for, and gives up in the end."""
    with loopback(programs) as net:
        with open(net.path("huge"), "wb") as file:
            file.truncate(3 << 30)
        recv = net.run("b", "recv", "--peer", net.id("a"), "-o", net.path("in"), "--patience", "6", flags=())
        wait_for(lambda: "waiting for files" in net.said(recv), "it waits")
        send = net.run("a", "send", net.path("huge"), "--peer", net.id("b"))
        net.wait_event(send, "first_byte")
        send.kill()
        wait_for(lambda: "has fallen silent: waiting for it" in net.said(recv), "it says so")
        net.expect(recv, 1)
        assert os.listdir(net.path("in")) == [], os.listdir(net.path("in"))


def test_one_receiver_one_sender(programs):
    with loopback(programs) as net:
        recv = net.recv("b", net.id("a"), net.path("in"))
        path = net.write("data", b"x")
        net.expect_error(net.run("c", "send", path, "--peer", net.id("b")), 4, "no-such-peer")
        assert recv.poll() is None


def test_wrong_id(programs):
    with loopback(programs) as net:
        start = time.monotonic()
        net.expect_error(net.run("a", "connect", net.id("c")), 4, "no-such-peer")
        assert time.monotonic() - start > 0.9


def test_mediator_down(programs):
    with Loopback(programs.build) as net:
        net.port = 1
        net.expect_error(net.run("a", "connect", NOBODY), 3, "mediator-unreachable")
        net.expect_error(net.run("a", "listen", "--allow", "any"), 3, "mediator-unreachable")


def test_mediator_without_standard_descriptors(programs):
    """What was closed is not taken for a place to write to."""
    with Loopback(programs.build) as net:
        net.port = random.randrange(20000, 32000)
        command = f"exec {net.eyeletd} --state {net.path('state')} --address 127.0.0.1 --port {net.port} --bounce-port 0 <&- >&- 2>&-"
        mediator = net.start(["sh", "-c", command])
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", net.port)) == 0, "eyeletd listens")
        net.expect_error(net.run("a", "connect", NOBODY), 4, "no-such-peer")
        for fd in ("0", "1", "2"):
            assert os.readlink(f"/proc/{mediator.pid}/fd/{fd}") == "/dev/null"
        mediator.terminate()
        net.expect(mediator, 0)


def test_list_that_is_too_long_for_the_mediator(programs):
    """More than 64 may call: then the callee itself looks at each caller, and strangers learn no more than elsewhere."""
    with loopback(programs) as net:
        friends = [net.id(f"friend{number}") for number in range(64)]
        net.listen("b", *(word for peer in [*friends, net.id("a")] for word in ("--allow", peer)), "--exec", "cat")
        call = net.run("a", "connect", net.id("b"), stdin=subprocess.PIPE)
        assert call.communicate(b"let me in", timeout=30)[0] == b"let me in"
        net.expect_error(net.run("stranger", "connect", net.id("b")), 4, "no-such-peer")


def test_mediator_with_another_key(programs):
    with loopback(programs) as net:
        net.expect_error(net.run("a", "connect", NOBODY), 4, "no-such-peer")
        first = net.started[0]
        first.terminate()
        first.wait()
        net.mediator("other", net.port)
        net.expect_error(net.run("a", "connect", NOBODY), 3, "mediator-key-changed")
        net.expect_error(net.run("c", "--mediator", f"127.0.0.1:{net.port}#{NOBODY}", "connect", NOBODY), 3, "mediator-key-changed")


def test_key_file_that_is_none(programs):
    """What is wrong with it is said."""
    with loopback(programs) as net:
        net.id("a")
        shutil.copyfile(net.path("a", "key"), net.path("open"))
        os.chmod(net.path("open"), 0o644)
        for name, data in (("rubbish", b"hello\n"), ("empty", b""), ("long", read(net.path("a", "key")) * 1000)):
            os.chmod(net.write(name, data), 0o600)
        for name, words in (("open", "mode 0644"), ("rubbish", "does not hold a key"), ("empty", "does not hold a key"),
                            ("long", "does not hold a key"), ("a", "is not a file"), ("/dev/zero", "is not a file"),
                            ("a/key/below", "Not a directory")):
            for verb in (["id"], ["listen", "--allow", "any"]):
                process = net.run("a", "--key", net.path(name), *verb)
                net.expect_error(process, 1, "key-file")
                assert words in net.events(process, "error")[0]["text"], net.said(process)


def test_mediator_that_is_no_name(programs):
    with loopback(programs) as net:
        for name in ("host:", "host:0", "host:70000", "[::1", "host#id", ":1", "#"):
            process = net.run("a", "--mediator", name, "connect", NOBODY)
            net.expect_error(process, 2, "usage")
            assert name in net.events(process, "error")[0]["text"], net.said(process)


def test_timeout(programs):
    with loopback(programs) as net:
        net.expect_error(net.run("b", "listen", "--allow", "any", "--timeout", "1"), 1, "timeout")
        net.expect_error(net.run("b", "recv", "--peer", NOBODY, "-o", net.path("in"), "--timeout", "1"), 1, "timeout")


def test_usage(programs):
    with loopback(programs) as net:
        for words in (["listen"], ["connect"], ["connect", "a", "b"], ["connect", "not-an-id!"], ["send", "x"], ["send", "--peer", NOBODY],
                      ["recv"], ["nonsense"], ["id", "x"], ["id", "--peer", NOBODY], ["--relay-only", "--direct-only", "connect", NOBODY],
                      ["--nonsense", "id"], ["connect", NOBODY, "--timeout", "0"], ["connect", NOBODY, "--timeout", "1x"],
                      ["listen", "--allow", "any", "--exec", "cat", "--to", "localhost:1"], ["listen", "--allow", "any", "--to", "localhost"],
                      ["listen", "--allow", "any", "--to", "::1:22"], ["listen", "--allow"], ["--key", "", "id"], ["listen", "--exec", ""]):
            net.expect_error(net.run("a", *words), 2, "usage")
        net.expect(net.run("a", "--direct-only", "connect", NOBODY), 4)
        for words in ([b"\xff\x1b[2J"], ["id", "--key", b"/dev/null/\xff\x1b[2J/key"], ["connect", NOBODY, b"--\xff"]):
            for flags in (("--json",), ()):
                process = net.run("a", *words, flags=flags)
                assert net.expect(process, 1 if "id" in words else 2) and "\x1b" not in net.said(process), net.said(process)
                assert not flags or net.events(process, "error")[0]["text"], net.said(process)
        net.port = None
        for words, word in ((["--help"], b"listen"), (["--version"], b"eyelet ")):
            process = net.run("a", *words, flags=())
            assert word in process.communicate(timeout=10)[0]
            net.expect(process, 0)
        for verb in ("id", "listen", "connect", "send", "recv", "netcheck", "ping"):
            process = net.run("a", verb, "--help", flags=())
            text = process.communicate(timeout=10)[0].decode()
            net.expect(process, 0)
            assert text.startswith(f"usage: eyelet [OPTION]... {verb}") and ("--allow" in text) == (verb == "listen"), text
            process = net.run("a", verb, "--nonsense", flags=())
            net.expect(process, 2)
            assert f'see "eyelet {verb} --help"' in net.said(process), net.said(process)
        with open("/dev/full", "wb") as full:
            net.expect(net.run("a", "--help", flags=(), stdout=full), 1)
        process = net.run("a", "id")
        answer = json.loads(process.communicate(timeout=10)[0])
        assert answer["v"] == 1 and answer["event"] == "id" and len(answer["id"]) == 52, answer


if __name__ == "__main__":
    sys.exit(main(globals()))
