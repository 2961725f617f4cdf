"""Paints how loud what `parec` records is, in columns: 700 Hz, 1300 Hz, and all of it. Each shows the loudest tenth of the
last second, from black for -60 dB to white for 0 dB; an edge of grey says that it runs.
"""

import array
import collections
import ctypes
import math
import subprocess
import sys

RATE = 16_000
BLOCK = RATE // 10
TONES = (700, 1_300)
COLUMNS = len(TONES) + 1

sdl = ctypes.CDLL("libSDL2-2.0.so.0")
for name in ("SDL_CreateWindow", "SDL_GetWindowSurface"):
    getattr(sdl, name).restype = ctypes.c_void_p


class Rect(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("x", "y", "w", "h")]


width, height = map(int, sys.argv[1:])
if sdl.SDL_Init(0x20) != 0:
    sys.exit("no SDL")
window = ctypes.c_void_p(sdl.SDL_CreateWindow(b"voice", 0x2FFF0000, 0x2FFF0000, width, height, 0))
surface = ctypes.c_void_p(sdl.SDL_GetWindowSurface(window))


def fill(x, y, w, h, grey):
    sdl.SDL_FillRect(surface, ctypes.byref(Rect(x, y, w, h)), grey << 16 | grey << 8 | grey)


def level(samples, hertz):
    """Amplitude of a tone (Goertzel)."""
    factor = 2 * math.cos(2 * math.pi * hertz / RATE)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    energy = before * before + last * last - factor * before * last
    return 2 * math.sqrt(max(energy, 0)) / len(samples)


def grey(amplitude):
    decibels = 20 * math.log10(max(amplitude, 1e-6))
    return round(min(max(1 + decibels / 60, 0), 1) * 250)


command = ["parec", "--device=nearlight.microphone", "--raw", "--format=s16le", "--channels=1"]
recorder = subprocess.Popen([*command, f"--rate={RATE}", "--latency-msec=20"], stdout=subprocess.PIPE)
recent = collections.deque([(0, 0, 0)] * 10, maxlen=10)
while True:
    recorded = recorder.stdout.read(2 * BLOCK)
    if len(recorded) < 2 * BLOCK:
        sys.exit("the recording ended")
    samples = [sample / 32_768 for sample in array.array("h", recorded)]
    loud = math.sqrt(2 * sum(sample * sample for sample in samples) / BLOCK)
    recent.append((*(grey(level(samples, hertz)) for hertz in TONES), grey(loud)))
    sdl.SDL_PumpEvents()
    sdl.SDL_FlushEvents(0, 0xFFFF)
    for column in range(COLUMNS):
        shade = max(levels[column] for levels in recent)
        fill(column * width // COLUMNS, 0, width // COLUMNS, height, shade)
    fill(0, height * 7 // 8, width, height // 8, 128)
    sdl.SDL_UpdateWindowSurface(window)
