"""Paints how large SDL says that its window is: the left half's brightness is the width in tenths, the right half's the height.

It asks for a window of the size that it is given at its start, which the player may make larger, and draws in whatever
size that has; it looks at no screen by itself.
"""

import ctypes
import sys

sdl = ctypes.CDLL("libSDL2-2.0.so.0")
for name in ("SDL_CreateWindow", "SDL_GetWindowSurface"):
    getattr(sdl, name).restype = ctypes.c_void_p

VIDEO, RESIZABLE, CENTERED = 0x20, 0x20, 0x2FFF0000


class Rect(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("x", "y", "w", "h")]


width, height = map(int, sys.argv[1:])
if sdl.SDL_Init(VIDEO) != 0:
    sys.exit("no SDL")
window = ctypes.c_void_p(sdl.SDL_CreateWindow(b"grows", CENTERED, CENTERED, width, height, RESIZABLE))
painted = None


def size():
    edges = [ctypes.c_int(), ctypes.c_int()]
    sdl.SDL_GetWindowSize(window, *map(ctypes.byref, edges))
    return edges[0].value, edges[1].value


while True:
    sdl.SDL_PumpEvents()
    sdl.SDL_FlushEvents(0, 0xFFFF)
    now = size()
    if now != painted:
        surface = ctypes.c_void_p(sdl.SDL_GetWindowSurface(window))
        half = now[0] // 2
        for left, wide, edge in ((0, half, now[0]), (half, now[0] - half, now[1])):
            grey = edge // 10
            rect = Rect(left, 0, wide, now[1])
            sdl.SDL_FillRect(surface, ctypes.byref(rect), grey << 16 | grey << 8 | grey)
        sdl.SDL_UpdateWindowSurface(window)
        painted = now
    sdl.SDL_Delay(5)
