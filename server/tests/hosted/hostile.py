"""A game that misuses what it has: its space, its display, its processes and memory, or the request to end.

It draws, and once its player is there ("go" lies in its entry's folder) it does what its argument says and draws on. What
came of it it writes into a file that is kept: "held" where it was bounded, "BROKEN" where it was not, and last how many
lines that makes. It speaks to its X server in plain bytes (X11 protocol, appendix B; RandR 1.3), so that it needs no
library.
"""

import errno
import os
import signal
import socket
import struct
import sys
import time

HOME = "/home/player"
# Mebibytes that each of its folders may take at most, and some more.
FOLDERS = {HOME: 20, "/tmp": 300, "/dev/shm": 300, "/run": 20}
WINDOWS = 1000
# Rounds of sizes at the least, for so many seconds at the least, and modes beside theirs.
ROUNDS, SECONDS, MODES = 20, 3, 200
# Processes that a bomb bears at most, how often the first of them is refused one, and mebibytes that are eaten at most.
BORN, REFUSALS, EATEN = 256, 20, 512
# What the screen has in the end.
LAST = (320, 200)
SIZES = [
    (640, 480), (1, 1), (2, 2), (3, 3), (1, 480), (640, 1), (16, 16), (64, 64), (639, 479), (322, 242), (2, 480),
    (0, 0), (65535, 65535), (32767, 1), (4, 65535),
]

lines = []


def say(held, what):
    lines.append(f"{'held' if held else 'BROKEN'} {what}")


class Refused(Exception):
    """What the server answers with an error."""


class Display:
    """A connection to the X server."""

    def __init__(self):
        with open(os.environ["XAUTHORITY"], "rb") as file:
            cookie = file.read()[-16:]
        name = b"MIT-MAGIC-COOKIE-1"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect("/tmp/.X11-unix/X0")
        head = struct.pack("<BxHHHHxx", ord("l"), 11, 0, len(name), len(cookie))
        self.socket.sendall(head + padded(name) + cookie)
        let_in, words = struct.unpack("<B5xH", self.read(8))
        setup = self.read(4 * words)
        if let_in != 1:
            self.socket.close()
            raise Refused(setup)
        self.sent, self.made, self.keys = 0, 0, set()
        self.first = struct.unpack_from("<I", setup, 4)[0]
        vendor, formats = struct.unpack_from("<H", setup, 16)[0], setup[21]
        self.root = struct.unpack_from("<I", setup, 32 + (vendor + 3) // 4 * 4 + 8 * formats)[0]

    def read(self, many):
        found = b""
        while len(found) < many:
            part = self.socket.recv(many - len(found))
            if not part:
                raise Refused("the server is gone")
            found += part
        return found

    def name(self):
        """A name for something new."""
        self.made += 1
        return self.first + self.made

    def tell(self, opcode, data, body=b""):
        """A request without an answer."""
        body = padded(body)
        self.sent += 1
        self.socket.sendall(struct.pack("<BBH", opcode, data, 1 + len(body) // 4) + body)

    def ask(self, opcode, data, body=b""):
        """The answer of a request that has one. Events and errors of those before it are passed over, but for keys."""
        self.tell(opcode, data, body)
        while True:
            packet = self.read(32)
            kind, number, more = struct.unpack_from("<BxHI", packet)
            packet += self.read(4 * more) if kind in (1, 35) else b""
            if kind == 2:
                self.keys.add(packet[1])
            if kind < 2 and number == self.sent & 0xFFFF:
                if kind == 0:
                    raise Refused(packet[1])
                return packet

    def extension(self, name):
        return self.ask(98, 0, struct.pack("<H2x", len(name)) + name)[9]

    def window(self, x, y, width, height, colour):
        name = self.name()
        place = struct.pack("<IIhhHHHHI", name, self.root, x, y, width, height, 0, 1, 0)
        # Of one colour, and no window manager's business.
        self.tell(1, 0, place + struct.pack("<III", 0x0202, colour, 1))
        self.tell(8, 0, struct.pack("<I", name))
        return name

    def windows(self):
        return struct.unpack_from("<H", self.ask(15, 0, struct.pack("<I", self.root)), 16)[0]

    def settle(self):
        """Until all is done that was asked for."""
        self.ask(43, 0)


def padded(text):
    return text + bytes(-len(text) % 4)


class Canvas:
    """A window over all of the screen, of another colour with each picture."""

    def __init__(self):
        self.display, self.colour = Display(), 0
        self.window = self.display.window(0, 0, 4096, 4096, 0)
        self.pen = self.display.name()
        self.display.tell(55, 0, struct.pack("<III", self.pen, self.window, 0))
        self.draw()

    def draw(self):
        self.colour = (self.colour + 0x10F31) & 0xFFFFFF
        display = self.display
        display.tell(56, 0, struct.pack("<III", self.pen, 4, self.colour))
        # Above all others.
        display.tell(12, 0, struct.pack("<IHxxI", self.window, 0x40, 0))
        display.tell(70, 0, struct.pack("<IIhhHH", self.window, self.pen, 0, 0, 4096, 4096))
        display.settle()


def fills(canvas):
    """Writes into each of its folders until there is no more room, and leaves it full."""
    for folder, most in FOLDERS.items():
        written = 0
        with open(f"{folder}/filled", "wb", buffering=0) as file:
            try:
                while written < most << 20:
                    written += file.write(bytes(1 << 16))
            except OSError as error:
                name = errno.errorcode[error.errno]
                say(error.errno == errno.ENOSPC, f"{folder} after {written >> 20} MiB: {name}")
            else:
                say(False, f"{folder} takes more than {most} MiB")
        canvas.draw()
    # Room to say so.
    os.truncate(f"{HOME}/filled", os.path.getsize(f"{HOME}/filled") - (1 << 16))


def windows(canvas):
    """Opens a thousand windows, by as many connections as it can have."""
    displays = []
    try:
        while len(displays) < WINDOWS:
            displays.append(Display())
    except (Refused, OSError) as error:
        say(True, f"{len(displays)} connections: {error}")
    else:
        say(False, "as many connections as windows")
    for number in range(WINDOWS):
        x, y = number % 40 * 16, number // 40 * 16
        displays[number % len(displays)].window(x, y, 12, 12, number * 0x1234)
    for display in displays:
        display.settle()
    found = canvas.display.windows()
    # They are its own to open: what counts is who else feels it.
    say(found > WINDOWS, f"{found} windows")
    canvas.others = displays


class Screen:
    """The size of its screen (RandR)."""

    def __init__(self, display):
        self.display, self.randr, self.modes = display, display.extension(b"RANDR"), {}
        self.ask(0, struct.pack("<II", 1, 3))
        found = self.ask(25, struct.pack("<I", display.root))
        _, self.stamp, crtcs, _ = struct.unpack_from("<IIHH", found, 8)
        self.crtc = struct.unpack_from("<I", found, 32)[0]
        self.output = struct.unpack_from("<I", found, 32 + 4 * crtcs)[0]

    def ask(self, minor, body):
        return self.display.ask(self.randr, minor, body)

    def mode(self, size):
        """A mode of this size, made where there is none yet."""
        if size not in self.modes:
            (width, height), name = size, f"hostile-{len(self.modes)}".encode()
            timing = struct.pack("<IHHIHHHHHHHHI", 0, width, height, 1 << 24, *[width] * 3, 0, *[height] * 3, len(name), 0)
            made = self.ask(16, struct.pack("<I", self.display.root) + timing + name)
            self.modes[size] = struct.unpack_from("<I", made, 8)[0]
            self.display.tell(self.randr, 18, struct.pack("<II", self.output, self.modes[size]))
        return self.modes[size]

    def show(self, at, mode, outputs=b""):
        place = struct.pack("<IIIhhIHxx", self.crtc, 0, self.stamp, *at, mode, 1)
        return self.ask(21, place + outputs)[1]

    def resize(self, size, at=(0, 0), screen=None):
        """Whether it has this size then. What shows it is off meanwhile."""
        self.show((0, 0), 0)
        whole = struct.pack("<IHHII", self.display.root, *(screen or size), 200, 150)
        self.display.tell(self.randr, 7, whole)
        try:
            return self.show(at, self.mode(size), struct.pack("<I", self.output)) == 0
        except Refused:
            return False


def modes(canvas):
    """Gives its screen one size after the other, sane and absurd ones, as fast as it can, and hundreds of modes."""
    screen, taken, rounds, until = Screen(canvas.display), 0, 0, time.monotonic() + SECONDS
    while rounds < ROUNDS or time.monotonic() < until:
        for size in SIZES:
            taken += screen.resize(size)
        # A part of the screen, which moves about in it.
        at = rounds % MODES
        taken += screen.resize((64, 64), (at, 2 * at), (640, 480))
        screen.mode((100 + 2 * at, 100))
        canvas.draw()
        rounds += 1
    say(taken > rounds, f"{taken} sizes taken in {rounds} rounds")
    # For longer than it is looked at, it has no picture at all.
    say(screen.resize((1, 1)), "a screen of one pixel")
    time.sleep(0.5)
    say(screen.resize(LAST), "a usual size in the end")


def deaf(_):
    """Does not heed the request to end, and then nothing at all any more."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    say(True, "it hears nothing")


def stops(_):
    """Has children. Once it has told so, it halts all of them and itself."""
    for _ in range(2):
        if os.fork() == 0:
            while True:
                signal.pause()
    say(True, "it has children")


def bomb(canvas):
    """Each of its processes forks for as long as it is let, and beyond. The first draws on; the others hear no request to end."""
    born, refused = (
        os.open(f"{HOME}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND) for name in ("born", "refused")
    )
    first, refusals = True, 0
    while os.fstat(born).st_size < BORN and refusals < REFUSALS:
        try:
            child = os.fork()
        except OSError as error:
            os.write(refused, f"{errno.errorcode[error.errno]}\n".encode())
            if first:
                refusals += 1
                canvas.draw()
            time.sleep(0.1)
        else:
            if child == 0:
                first, refusals = False, 0
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.write(born, b".")
    while not first:
        signal.pause()
    with open(f"{HOME}/refused") as file:
        why, many = set(file.read().split()), os.fstat(born).st_size
    say(many < BORN and why == {"EAGAIN"}, f"{many} were born, and then {why}")


def eats(_):
    """Takes memory, and writes to it, for as long as there is some."""
    eaten = []
    while len(eaten) < EATEN:
        eaten.append(bytearray(b"x") * (1 << 20))
    say(False, f"it may have more than {EATEN} MiB")


def hears(canvas):
    """Misuses nothing: tells the numbers of the keys that it hears, each once."""
    display, told = canvas.display, None
    # Keys that go down are its window's to hear.
    display.tell(2, 0, struct.pack("<III", canvas.window, 0x0800, 1))
    while True:
        canvas.draw()
        heard = sorted(display.keys)
        if heard != told:
            told = heard
            keep(f"hears {heard} in all.\n")
        time.sleep(0.05)


def keep(text):
    os.makedirs(f"{HOME}/kept", exist_ok=True)
    with open(f"{HOME}/told", "w") as file:
        file.write(text)
    os.rename(f"{HOME}/told", f"{HOME}/kept/told")


def tell():
    keep("\n".join([*lines, f"{len(lines)} in all.\n"]))


DEEDS = {each.__name__: each for each in (fills, windows, modes, deaf, stops, bomb, eats, hears)}


def main():
    canvas, deed = Canvas(), sys.argv[1]
    while not os.path.exists("/game/go"):
        canvas.draw()
        time.sleep(0.05)
    DEEDS[deed](canvas)
    tell()
    while deed == "stops":
        # Again wherever somebody lets it go on.
        os.kill(0, signal.SIGSTOP)
    while deed == "deaf":
        time.sleep(1000)
    while True:
        canvas.draw()
        time.sleep(0.05)


main()
