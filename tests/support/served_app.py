"""An HTTP daemon for apps of tests, of the standard library alone, whose releases choose how it behaves.

It serves the sockets that it is passed, says READY=1 by a raw datagram, and drains when it is asked to end.
What a release's `conduct` names, it does: nothing means that it is well.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.repositories import Content

SERVE = '''\
import json, os, signal, socket, subprocess, sys, threading, time

HERE, STATE = os.path.dirname(os.path.abspath(__file__)), os.environ["NEWLEAF_STATE_DIR"]
VERSION = open(os.path.join(HERE, "version")).read()
CONDUCT = open(os.path.join(HERE, "conduct")).read().split()
COMMIT = os.environ["NEWLEAF_COMMIT"]


def note(name, text):
    file = os.open(os.path.join(STATE, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{text}\\n".encode())
    os.close(file)


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])


def begin():
    """What only the daemon may do, not one that waits."""
    if "alone" in CONDUCT:
        import fcntl
        held = os.open(os.path.join(STATE, "alone"), os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            note("twice", os.getpid())
    if "writes" in CONDUCT:
        import sqlite3
        database = sqlite3.connect(os.path.join(HERE, "data", "app.db"))
        with database:
            columns = len(database.execute("SELECT * FROM written").description)
            database.execute("INSERT INTO written VALUES (?" + ", 'now'" * (columns - 1) + ")", (VERSION,))
        database.close()


note("starts", f"{os.getpid()} {VERSION} {time.time()} {os.environ.get('LISTEN_PID')}")
if "waits" not in CONDUCT:
    begin()
if "exits" in CONDUCT:
    print("no good", flush=True)
    note("ends", f"{VERSION} {time.time()}")
    sys.exit(3)
if "asks" in CONDUCT:
    sys.exit(42)
if "hangs" in CONDUCT:
    time.sleep(60)
if "forks" in CONDUCT and os.fork():
    os._exit(0)
if "hears" in CONDUCT:
    stranger = "import os, socket; s = socket.socket(1, 2); s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])"
    subprocess.run([sys.executable, "-c", stranger])
    time.sleep(60)

stopping = threading.Event()
busy, lock = 0, threading.Lock()
DRAIN_SECONDS = 1.0


def answer(connection, path, words, close):
    claimed = "f" * 40 if "impostor" in CONDUCT else COMMIT
    status, body = "200 OK", VERSION
    if path == "/health":
        body = json.dumps({"commit": claimed})
        if "sick" in CONDUCT:
            status = "500 Internal Server Error"
        if "silent" in CONDUCT:
            time.sleep(60)
    if path == "/stream":
        note("streams", VERSION)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n")
        for _ in range(10):
            connection.sendall(VERSION.encode() + b"\\n")
            time.sleep(0.1)
        return
    if path == "/crash":
        os._exit(7)
    if path == "/leave":
        os._exit(42)
    word = "close" if close else "keep-alive"
    head = f"HTTP/1.1 {status}\\r\\nContent-Length: {len(body)}\\r\\nConnection: {word}\\r\\n\\r\\n"
    connection.sendall((head + body).encode())


def talk(connection):
    global busy
    unread, idle = b"", 0.0
    connection.settimeout(0.05)
    try:
        while True:
            try:
                data = connection.recv(65536)
            except TimeoutError:
                idle += 0.05
                if stopping.is_set() and idle > DRAIN_SECONDS:
                    return
                continue
            if not data:
                return
            unread, idle = unread + data, 0.0
            while b"\\r\\n\\r\\n" in unread:
                head, _, unread = unread.partition(b"\\r\\n\\r\\n")
                close = stopping.is_set() or b"connection: close" in head.lower()
                connection.settimeout(5)
                answer(connection, head.split()[1].decode(), CONDUCT, close)
                connection.settimeout(0.05)
                if close or head.split()[1] == b"/stream":
                    return
    except OSError:
        pass
    finally:
        connection.close()
        with lock:
            busy -= 1


def serve(listener):
    global busy
    listener.settimeout(0.02)
    while not stopping.is_set():
        try:
            connection, _ = listener.accept()
        except (TimeoutError, BlockingIOError):
            continue
        with lock:
            busy += 1
        threading.Thread(target=talk, args=(connection,), daemon=True).start()


names = list(filter(None, os.environ.get("LISTEN_FDNAMES", "").split(":")))
listeners = [socket.socket(fileno=3 + place) for place in range(len(names))]
if "deaf" in CONDUCT:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
servers = [threading.Thread(target=serve, args=(one,)) for one in listeners]
if "claims" in CONDUCT:
    notify("X_NEWLEAF_COMMIT=" + "f" * 40)
if "waits" in CONDUCT:
    if "health" in names:
        servers[-1].start()
    notify("X_NEWLEAF_WAITS=1")
    with open(int(os.environ["NEWLEAF_GO_FD"]), "rb") as go:
        if not go.read(1):
            sys.exit(0)
    begin()
for server in servers:
    if not server.is_alive():
        server.start()
if "agent" in CONDUCT:
    notify("X_NEWLEAF_AGENT=1")
if "mute" not in CONDUCT:
    notify("READY=1")
if "dies" in CONDUCT:
    time.sleep(0.15)
    os._exit(9)
if "floods" in CONDUCT:
    line = "x" * 200
    while not stopping.is_set():
        print(line, flush=True)
while not stopping.is_set():
    time.sleep(0.01)
# First, so that what was taken at the last moment counts as busy.
for server in servers:
    server.join()
while busy:
    time.sleep(0.01)
note("ends", f"{VERSION} {time.time()}")
'''


def conduct(version: str, *words: str) -> Mapping[str, Content]:
    """The files of a release that behaves so."""
    return {"serve.py": SERVE, "version": version, "conduct": " ".join(words)}
