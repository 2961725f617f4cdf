"""Pastes at Ctrl+V, and copies what it pasted: text with "got " before it, an image as it is.

For each file in its folder it writes one beside it, "NAME.sum", with its SHA-256.
"""

import ctypes
import hashlib
import os
import select

x11 = ctypes.CDLL("libX11.so.6")
x11.XOpenDisplay.restype = ctypes.c_void_p
for name in ("XCreateSimpleWindow", "XInternAtom", "XDefaultRootWindow", "XGetSelectionOwner"):
    getattr(x11, name).restype = ctypes.c_ulong

KEY_PRESS_MASK, KEY_RELEASE_MASK, PROPERTY_CHANGE_MASK = 1 << 0, 1 << 1, 1 << 22
KEY_PRESS, KEY_RELEASE, SELECTION_REQUEST, SELECTION_NOTIFY = 2, 3, 30, 31
CONTROL = 1 << 2
ATOM = 4


class Event(ctypes.Union):
    """The fields of XEvent that are used here, as Xlib lays them out (64 bits)."""

    class Key(ctypes.Structure):
        _fields_ = [("head", ctypes.c_long * 4), ("window", ctypes.c_ulong * 3), ("time", ctypes.c_ulong)]
        _fields_ += [("place", ctypes.c_int * 4), ("state", ctypes.c_uint), ("keycode", ctypes.c_uint)]

    class Request(ctypes.Structure):
        _fields_ = [("head", ctypes.c_long * 4)]
        _fields_ += [(name, ctypes.c_ulong) for name in ("owner", "requestor", "selection", "target", "property", "time")]

    class Answer(ctypes.Structure):
        _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p)]
        _fields_ += [(name, ctypes.c_ulong) for name in ("requestor", "selection", "target", "property", "time")]

    _fields_ = [("type", ctypes.c_int), ("key", Key), ("request", Request), ("answer", Answer), ("pad", ctypes.c_long * 24)]


display = ctypes.c_void_p(x11.XOpenDisplay(None))
root = ctypes.c_ulong(x11.XDefaultRootWindow(display))
window = ctypes.c_ulong(x11.XCreateSimpleWindow(display, root, 0, 0, 640, 360, 0, 0, ctypes.c_ulong(0x304050)))
x11.XSelectInput(display, window, ctypes.c_long(KEY_PRESS_MASK | KEY_RELEASE_MASK | PROPERTY_CHANGE_MASK))
# A key that is held is pressed again and again, and released once.
x11.XkbSetDetectableAutoRepeat(display, 1, None)
x11.XMapWindow(display, window)
x11.XSync(display, 0)
x11.XSetInputFocus(display, window, 2, ctypes.c_ulong(0))


def atom(name):
    return x11.XInternAtom(display, name, 0)


CLIPBOARD, TARGETS, INCR, PASTED = map(atom, (b"CLIPBOARD", b"TARGETS", b"INCR", b"PASTED"))
UTF8, PNG = atom(b"UTF8_STRING"), atom(b"image/png")
wanted, held = [], (UTF8, b"")
is_down = False


def ask():
    """Asks for the next of what is wanted."""
    x11.XConvertSelection(display, *map(ctypes.c_ulong, (CLIPBOARD, wanted[0], PASTED)), window, ctypes.c_ulong(0))


def take():
    """What is in the property, which goes; nothing where it comes in pieces."""
    of, form, count, after = ctypes.c_ulong(), ctypes.c_int(), ctypes.c_ulong(), ctypes.c_ulong()
    data = ctypes.POINTER(ctypes.c_ubyte)()
    x11.XGetWindowProperty(
        display, window, ctypes.c_ulong(PASTED), ctypes.c_long(0), ctypes.c_long(1 << 20), 1, ctypes.c_ulong(0),
        ctypes.byref(of), ctypes.byref(form), ctypes.byref(count), ctypes.byref(after), ctypes.byref(data),
    )
    return b"" if of.value == INCR else bytes(data[: count.value])


def put(to, of, form, data, count):
    x11.XChangeProperty(display, *map(ctypes.c_ulong, (to.requestor, to.property, of)), form, 0, data, count)


def serve(asked):
    given = asked.target in (TARGETS, held[0])
    if asked.target == TARGETS:
        put(asked, ATOM, 32, (ctypes.c_ulong * 2)(TARGETS, held[0]), 2)
    elif given:
        put(asked, asked.target, 8, held[1], len(held[1]))
    event = Event()
    answer = event.answer
    answer.type, answer.requestor, answer.selection = SELECTION_NOTIFY, asked.requestor, asked.selection
    answer.target, answer.property, answer.time = asked.target, asked.property if given else 0, asked.time
    x11.XSendEvent(display, ctypes.c_ulong(asked.requestor), 0, ctypes.c_long(0), ctypes.byref(event))


def handle(event):
    global held, is_down
    is_key = event.type in (KEY_PRESS, KEY_RELEASE) and x11.XLookupKeysym(ctypes.byref(event), 0) == ord("v")
    if is_key:
        repeats, is_down = is_down, event.type == KEY_PRESS
        if is_down and not repeats and event.key.state & CONTROL:
            wanted[:] = [UTF8, PNG]
            ask()
    elif event.type == SELECTION_NOTIFY and wanted and event.answer.target == wanted[0]:
        of = wanted.pop(0)
        if event.answer.property == 0:
            if wanted:
                ask()
            return
        wanted.clear()
        data = take()
        held = (of, b"got " + data if of == UTF8 else data)
        x11.XSetSelectionOwner(display, ctypes.c_ulong(CLIPBOARD), window, ctypes.c_ulong(0))
    elif event.type == SELECTION_REQUEST:
        serve(event.request)


def sum_up():
    folder = os.path.expanduser("~/Exchange")
    # Nothing where no files are shared.
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in names:
        if not name.endswith(".sum") and name + ".sum" not in names:
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest()
            except FileNotFoundError:  # The player deleted it meanwhile.
                continue
            with open(os.path.join(folder, name + ".sum"), "w") as file:
                file.write(digest)


while True:
    while x11.XPending(display):
        event = Event()
        x11.XNextEvent(display, ctypes.byref(event))
        handle(event)
    x11.XFlush(display)
    sum_up()
    select.select([x11.XConnectionNumber(display)], [], [], 0.1)
