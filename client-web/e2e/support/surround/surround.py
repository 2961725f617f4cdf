"""Plays a tone in each channel that the sound server offers as it begins, as games do that look only then: 400 Hz and 300 more
for each channel, but 60 Hz in that of the low frequencies. Its window goes from black to white and back all the while.
"""

import array
import ctypes
import math
import re
import subprocess
import sys
import threading
import time

RATE = 48_000
MAPS = {
    2: "front-left,front-right",
    6: "front-left,front-right,front-center,lfe,rear-left,rear-right",
    8: "front-left,front-right,front-center,lfe,rear-left,rear-right,side-left,side-right",
}

info = subprocess.run(["pactl", "info"], stdout=subprocess.PIPE, text=True, check=True).stdout
channels = int(re.search(r" (\d)ch ", info).group(1))
tones = [60 if channel == 3 else 400 + 300 * channel for channel in range(channels)]
# All of them have whole periods in a second.
second = array.array("h", (
    round(12_000 * math.sin(2 * math.pi * tone * at / RATE)) for at in range(RATE) for tone in tones
)).tobytes()
command = ["pacat", "--playback", "--raw", "--format=s16le", f"--rate={RATE}", "--latency-msec=50"]
player = subprocess.Popen(
    [*command, f"--channels={channels}", f"--channel-map={MAPS[channels]}"], stdin=subprocess.PIPE
)


def play():
    while True:
        player.stdin.write(second)


threading.Thread(target=play, daemon=True).start()

sdl = ctypes.CDLL("libSDL2-2.0.so.0")
for name in ("SDL_CreateWindow", "SDL_GetWindowSurface"):
    getattr(sdl, name).restype = ctypes.c_void_p
width, height = map(int, sys.argv[1:])
if sdl.SDL_Init(0x20) != 0:
    sys.exit("no SDL")
window = ctypes.c_void_p(sdl.SDL_CreateWindow(b"surround", 0x2FFF0000, 0x2FFF0000, width, height, 0))
surface = ctypes.c_void_p(sdl.SDL_GetWindowSurface(window))
shade = 0
while player.poll() is None:
    shade = (shade + 8) % 512
    grey = min(shade, 511 - shade)
    sdl.SDL_PumpEvents()
    sdl.SDL_FlushEvents(0, 0xFFFF)
    sdl.SDL_FillRect(surface, None, grey << 16 | grey << 8 | grey)
    sdl.SDL_UpdateWindowSurface(window)
    time.sleep(1 / 30)
sys.exit("the player of sound ended")
