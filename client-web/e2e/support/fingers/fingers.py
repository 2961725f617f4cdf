"""Paints a white square of 64 pixels under each finger that SDL says is down, on black."""

import ctypes
import sys

sdl = ctypes.CDLL("libSDL2-2.0.so.0")


class Rect(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("x", "y", "w", "h")]


class Finger(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int64), ("x", ctypes.c_float), ("y", ctypes.c_float), ("pressure", ctypes.c_float)]


sdl.SDL_CreateWindow.restype = ctypes.c_void_p
sdl.SDL_GetWindowSurface.restype = ctypes.c_void_p
sdl.SDL_GetTouchDevice.restype = ctypes.c_int64
sdl.SDL_GetNumTouchFingers.argtypes = [ctypes.c_int64]
sdl.SDL_GetTouchFinger.argtypes = [ctypes.c_int64, ctypes.c_int]
sdl.SDL_GetTouchFinger.restype = ctypes.POINTER(Finger)

VIDEO, WIDTH, HEIGHT, EDGE = 0x20, 640, 360, 64
if sdl.SDL_Init(VIDEO) != 0:
    sys.exit("no SDL")
window = ctypes.c_void_p(sdl.SDL_CreateWindow(b"fingers", 0, 0, WIDTH, HEIGHT, 0))
painted = None


def fingers():
    for number in range(sdl.SDL_GetNumTouchDevices()):
        device = sdl.SDL_GetTouchDevice(number)
        for each in range(sdl.SDL_GetNumTouchFingers(device)):
            finger = sdl.SDL_GetTouchFinger(device, each).contents
            yield round(finger.x * WIDTH), round(finger.y * HEIGHT)


while True:
    sdl.SDL_PumpEvents()
    sdl.SDL_FlushEvents(0, 0xFFFF)
    now = sorted(fingers())
    if now != painted:
        surface = ctypes.c_void_p(sdl.SDL_GetWindowSurface(window))
        sdl.SDL_FillRect(surface, None, 0)
        for x, y in now:
            rect = Rect(x - EDGE // 2, y - EDGE // 2, EDGE, EDGE)
            sdl.SDL_FillRect(surface, ctypes.byref(rect), 0xFFFFFF)
        sdl.SDL_UpdateWindowSurface(window)
        painted = now
    sdl.SDL_Delay(5)
