"""Paints what gamepads say, a column each: the upper half whether A is down, the lower half where the left stick is.

Black: no gamepad. While B is down, the gamepad rumbles.
"""

import ctypes
import sys

sdl = ctypes.CDLL("libSDL2-2.0.so.0")
for name in ("SDL_GameControllerOpen", "SDL_CreateWindow", "SDL_GetWindowSurface"):
    getattr(sdl, name).restype = ctypes.c_void_p
sdl.SDL_GameControllerPath.restype = ctypes.c_char_p

VIDEO, GAMECONTROLLER = 0x20, 0x2000
CENTERED = 0x2FFF0000
A, B, LEFT_X = 0, 1, 0
COLUMNS = 4


class Rect(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("x", "y", "w", "h")]


width, height = map(int, sys.argv[1:])
sdl.SDL_SetHint(b"SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", b"1")
if sdl.SDL_Init(VIDEO | GAMECONTROLLER) != 0:
    sys.exit("no SDL")
window = ctypes.c_void_p(sdl.SDL_CreateWindow(b"pads", CENTERED, CENTERED, width, height, 0))
surface = ctypes.c_void_p(sdl.SDL_GetWindowSurface(window))
pads, rumbling, painted = {}, set(), None


def fill(column, half, grey):
    rect = Rect(column * width // COLUMNS, half * height // 2, width // COLUMNS, height // 2)
    sdl.SDL_FillRect(surface, ctypes.byref(rect), grey << 16 | grey << 8 | grey)


while True:
    sdl.SDL_PumpEvents()
    sdl.SDL_FlushEvents(0, 0xFFFF)
    for index in range(sdl.SDL_NumJoysticks()):
        instance = sdl.SDL_JoystickGetDeviceInstanceID(index)
        if instance not in pads and sdl.SDL_IsGameController(index):
            pads[instance] = ctypes.c_void_p(sdl.SDL_GameControllerOpen(index))
    columns = [(0, 0)] * COLUMNS
    for instance, pad in list(pads.items()):
        if not sdl.SDL_GameControllerGetAttached(pad):
            sdl.SDL_GameControllerClose(pad)
            del pads[instance]
            continue
        number = int(sdl.SDL_GameControllerPath(pad)[-1:])
        stick = ctypes.c_int16(sdl.SDL_GameControllerGetAxis(pad, LEFT_X)).value
        columns[number] = (
            220 if sdl.SDL_GameControllerGetButton(pad, A) else 60,
            60 + (stick + 32768) * 160 // 65535,
        )
        if not sdl.SDL_GameControllerGetButton(pad, B):
            rumbling.discard(instance)
        elif instance not in rumbling:
            rumbling.add(instance)
            sdl.SDL_GameControllerRumble(pad, 0xFFFF, 0x8000, 200)
    if columns != painted:
        for column, halves in enumerate(columns):
            for half, grey in enumerate(halves):
                fill(column, half, grey)
        sdl.SDL_UpdateWindowSurface(window)
        painted = columns
    sdl.SDL_Delay(2)
