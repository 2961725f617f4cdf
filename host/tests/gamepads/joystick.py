"""A program of before evdev: asks a joystick what it is, and writes what it says."""

import fcntl
import os
import select
import stat
import struct

path = "/dev/input/js1"
data = os.stat(path)
print("device", stat.S_ISCHR(data.st_mode), os.major(data.st_rdev), os.minor(data.st_rdev))
joystick = os.open(path, os.O_RDONLY)
print("open", stat.S_ISCHR(os.fstat(joystick).st_mode))


def ask(request, size):
    buffer = bytearray(size)
    fcntl.ioctl(joystick, 0x80000000 | size << 16 | ord("j") << 8 | request, buffer)
    return bytes(buffer)


print("axes", ask(0x11, 1)[0], "buttons", ask(0x12, 1)[0], ask(0x13, 64).rstrip(b"\0").decode())
print("maps", list(ask(0x32, 8)), list(struct.unpack("11H", ask(0x34, 22))))
try:
    ask(0x7E, 4)
except OSError as error:
    print("refused", error.errno)
# What is no gamepad is as ever.
try:
    fcntl.ioctl(os.open("/dev/null", os.O_RDWR), 0x80044501, bytearray(4))
except OSError as error:
    print("no gamepad", error.errno)
print("ready", flush=True)
while select.select([joystick], [], []):
    event = os.read(joystick, 8)
    if not event:
        break
    _, value, kind, number = struct.unpack("IhBB", event)
    print("event", kind, number, value, flush=True)
print("over", flush=True)
