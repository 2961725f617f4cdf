"""What a game tries against another one beside it, and against the node.

As "neighbour" it has something of everything, and shows that it goes on. As "prober" it tries to reach that, and what the
node has, and writes how each attempt went: "held" where nothing came of it, "BROKEN" where something did, and "own"
for what it must have of its own, or the attempts would prove nothing.
"""

import ctypes
import json
import os
import signal
import socket
import struct
import sys
import time

HOME = "/home/player"
SECRET = b"the neighbour's secret"
# System V keys and sizes, an abstract name, and a port of the neighbour's own network.
KEY, BYTES, PORT = 0x6E6C0001, 54321, 47001
CREATE, STAT = 0o1000, 13
ATTACH, STOP = 16, signal.SIGSTOP

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.ptrace.argtypes = [ctypes.c_long] * 4
libc.ptrace.restype = ctypes.c_long

lines = []


def say(verdict, what, why):
    lines.append(f"{verdict} {what}: {why}")


def checked(result):
    """Of a call that says -1 where it fails."""
    if result in (-1, ctypes.c_void_p(-1).value):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def held(what, attempt):
    """An attempt that must fail, or yield nothing."""
    try:
        found = attempt()
    except OSError as error:
        return say("held", what, error)
    say("BROKEN" if found else "held", what, repr(found)[:200])


def own(what, attempt):
    """Something that must be there."""
    try:
        found = attempt()
    except OSError as error:
        return say("BROKEN", f"of its own, {what}", error)
    say("own" if found else "BROKEN", what, repr(found)[:200])


def contents(path):
    if os.path.isdir(path):
        # An empty file or folder may lie in its place, and tells nothing.
        return [name for name in os.listdir(path) if contents(os.path.join(path, name))]
    with open(path, "rb") as file:
        return file.read(100)


def write(path):
    with open(path, "r+b" if os.path.isfile(path) else "xb") as file:
        return file.write(b"x")


def connect(address, family=socket.AF_UNIX):
    with socket.socket(family) as to:
        to.settimeout(5)
        to.connect(address)
        return to.getpeername() or "connected"


def server_of(address):
    """The program that listens on a socket, where it can be seen from here."""
    with socket.socket(socket.AF_UNIX) as to:
        to.connect(address)
        pid, _, _ = struct.unpack("3i", to.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def segment(key, size, flags):
    return checked(libc.shmget(key, size, flags))


def attached(number):
    address = checked(libc.shmat(number, None, 0))
    return ctypes.string_at(address, len(SECRET))


def segments():
    with open("/proc/sysvipc/shm") as file:
        return [line.split()[3] for line in file.readlines()[1:]]


def commands():
    """What runs in every process that can be seen."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                found[int(name)] = file.read().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def neighbour(token):
    os.makedirs(f"{HOME}/kept", exist_ok=True)
    for folder in (f"{HOME}/kept", "/tmp", "/dev/shm", os.environ["XDG_RUNTIME_DIR"]):
        with open(f"{folder}/of-the-neighbour", "wb") as file:
            file.write(SECRET)
    ctypes.memmove(checked(libc.shmat(segment(KEY, BYTES, CREATE | 0o666), None, 0)), SECRET, len(SECRET))
    listeners = []
    for family, address in (
        (socket.AF_UNIX, f"\0{token}"),
        (socket.AF_UNIX, "/tmp/of-the-neighbour.socket"),
        (socket.AF_INET, ("127.0.0.1", PORT)),
    ):
        listener = socket.socket(family)
        listener.bind(address)
        listener.listen()
        listeners.append(listener)
    # All that it has can be reached from in here.
    assert connect(f"\0{token}") and connect(("127.0.0.1", PORT), socket.AF_INET)
    with open(f"{HOME}/kept/ready", "w") as file:
        file.write("ready\n")
    while True:
        print(time.monotonic(), flush=True)
        time.sleep(0.05)


def files(facts):
    for path in facts["node"]:
        held(f"reading {path}", lambda: contents(path))
        held(f"writing {path}", lambda: write(path))
    for path in facts["neighbour"]:
        held(f"reading {path}", lambda: contents(path))
        held(f"writing below {path}", lambda: write(f"{path}/written"))
    for folder in (f"{HOME}/kept", "/tmp", "/dev/shm", os.environ["XDG_RUNTIME_DIR"]):
        held(f"the neighbour's in {folder}", lambda: [n for n in os.listdir(folder) if "neighbour" in n])
    own("a home", lambda: write(f"{HOME}/kept/written"))


def display(facts):
    """Its own X server is the only one that there is, by whatever name."""
    own("a display", lambda: server_of("/tmp/.X11-unix/X0") == "Xvfb")
    own("one socket of a display", lambda: os.listdir("/tmp/.X11-unix") == ["X0"])
    for number in range(100):
        if number > 0:
            held(f"display {number}", lambda: connect(f"/tmp/.X11-unix/X{number}"))
        held(f"display {number} by its abstract name", lambda: connect(f"\0/tmp/.X11-unix/X{number}"))
    for number in range(3):
        held(f"display {number} by TCP", lambda: connect(("127.0.0.1", 6000 + number), socket.AF_INET))
    for pid in facts["pids"]:
        held("the neighbour's display", lambda: connect(f"/proc/{pid}/root/tmp/.X11-unix/X0"))


def memory():
    mine = segment(KEY + 1, 12345, CREATE | 0o666)
    ctypes.memmove(checked(libc.shmat(mine, None, 0)), b"mine", 4)
    own("a segment", lambda: attached(mine).startswith(b"mine") and "12345" in segments())
    held("the neighbour's segment by its key", lambda: segment(KEY, 0, 0))
    held("the neighbour's segment in the list", lambda: [size for size in segments() if size == str(BYTES)])
    for number in range(64):
        # Numbers are the same in each, what they name is not.
        held(f"segment {number}", lambda: SECRET in attached(number) and "the secret")
        status = ctypes.create_string_buffer(256)
        size = lambda: struct.unpack_from("q", status, 48)[0] == BYTES
        held(f"segment {number} of all", lambda: checked(libc.shmctl(number, STAT, status)) >= 0 and size())


def sound(facts):
    own("sound", lambda: connect("/run/nearlight/pulse/native"))
    own("sound alone in its folder", lambda: os.listdir("/run/nearlight/pulse") == ["native"])
    for folder in facts["sandboxes"]:
        held("the neighbour's sound", lambda: connect(f"{folder}/pulse/native"))
        held("what names the neighbour to its display", lambda: contents(f"{folder}/xauth"))
    held("sound by TCP", lambda: connect(("127.0.0.1", 4713), socket.AF_INET))
    for pid in facts["pids"]:
        held("the neighbour's sound", lambda: connect(f"/proc/{pid}/root/run/nearlight/pulse/native"))


def processes(facts):
    seen = commands()
    own("processes", lambda: os.getpid() in seen and not os.kill(os.getppid(), 0))
    held("the neighbour among them", lambda: [text for text in seen.values() if facts["token"] in text])
    for pid in facts["pids"]:
        if pid in seen:
            # The number is taken by one of its own.
            continue
        held(f"a signal to {pid}", lambda: os.kill(pid, STOP) is None)
        held(f"a descriptor of {pid}", lambda: os.pidfd_open(pid))
        held(f"the priority of {pid}", lambda: os.getpriority(os.PRIO_PROCESS, pid) + 100)
        for name in ("mem", "environ", "cmdline", "maps"):
            held(f"{name} of {pid}", lambda: contents(f"/proc/{pid}/{name}"))
        held(f"the home of {pid}", lambda: os.listdir(f"/proc/{pid}/root/home/player"))
    for pid in facts["pids"]:
        held(f"tracing {pid}", lambda: checked(libc.ptrace(ATTACH, pid, 0, 0)) + 1)
        held(f"memory of {pid}", lambda: checked(libc.process_vm_readv(pid, None, 0, None, 0, 0)) + 1)


def network(facts):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        own("a network", lambda: connect(listener.getsockname(), socket.AF_INET))
    held("the neighbour's port", lambda: connect(("127.0.0.1", PORT), socket.AF_INET))
    for name in facts["abstract"]:
        held("an abstract name", lambda: connect(f"\0{name}"))
    for port in facts["ports"]:
        held(f"the node's port {port}", lambda: connect(("127.0.0.1", port), socket.AF_INET))
        held(f"the node's port {port} by IPv6", lambda: connect(("::1", port), socket.AF_INET6))
        for host in facts["hosts"]:
            # There is no way to them: a machine that was reached and has nothing there would refuse.
            def attempt():
                try:
                    return connect((host, port), socket.AF_INET)
                except ConnectionRefusedError:
                    return "the machine answered"
            held(f"the node's port {port} at {host}", attempt)
    held("the internet", lambda: connect(("1.1.1.1", 443), socket.AF_INET))
    held("the internet by IPv6", lambda: connect(("2606:4700:4700::1111", 443), socket.AF_INET6))
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        held("a datagram", lambda: datagrams.sendto(b"x", ("1.1.1.1", 53)))
    held("a name", lambda: socket.getaddrinfo("example.org", 443))
    held("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    held("raw sockets", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
    with open("/proc/net/dev") as file:
        names = [line.split(":")[0].strip() for line in file.readlines()[2:]]
    held("another network's devices", lambda: [name for name in names if name != "lo"])


def prober():
    with open("/game/facts.json") as file:
        facts = json.load(file)
    os.makedirs(f"{HOME}/kept", exist_ok=True)
    for part in (files, display, sound, processes, network):
        part(facts)
    memory()
    lines.append(f"{len(lines)} in all.\n")
    with open(f"{HOME}/outcomes", "w") as file:
        file.write("\n".join(lines))
    os.rename(f"{HOME}/outcomes", f"{HOME}/kept/outcomes")
    while True:
        print(time.monotonic(), flush=True)
        time.sleep(0.05)


neighbour(sys.argv[2]) if sys.argv[1] == "neighbour" else prober()
