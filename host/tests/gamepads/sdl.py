"""A program that plays with gamepads by SDL 2, and writes a line whenever one of them is otherwise."""

import ctypes
import sys

sdl = ctypes.CDLL("libSDL2-2.0.so.0")
for name in ("SDL_GameControllerOpen", "SDL_GameControllerFromInstanceID"):
    getattr(sdl, name).restype = ctypes.c_void_p
sdl.SDL_GameControllerPath.restype = ctypes.c_char_p
sdl.SDL_GameControllerName.restype = ctypes.c_char_p
sdl.SDL_GetError.restype = ctypes.c_char_p

GAMECONTROLLER = 0x2000
START, BUTTONS, AXES = 6, 15, 6


def say(*words):
    print(*words, flush=True)


sdl.SDL_SetHint(b"SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", b"1")
if sdl.SDL_Init(GAMECONTROLLER) != 0:
    sys.exit(sdl.SDL_GetError())
say("ready")
pads, shown = {}, {}
while True:
    sdl.SDL_PumpEvents()
    # Events say what changed; it is simpler, and the same, to look at everything.
    sdl.SDL_FlushEvents(0, 0xFFFF)
    for index in range(sdl.SDL_NumJoysticks()):
        instance = sdl.SDL_JoystickGetDeviceInstanceID(index)
        if instance not in pads and sdl.SDL_IsGameController(index):
            pads[instance] = ctypes.c_void_p(sdl.SDL_GameControllerOpen(index))
            say("came", sdl.SDL_GameControllerPath(pads[instance]).decode())
    for instance, pad in list(pads.items()):
        name = sdl.SDL_GameControllerPath(pad).decode().removeprefix("/dev/input/")
        if not sdl.SDL_GameControllerGetAttached(pad):
            sdl.SDL_GameControllerClose(pad)
            del pads[instance]
            say("gone", name)
            continue
        buttons = [sdl.SDL_GameControllerGetButton(pad, button) for button in range(BUTTONS)]
        axes = [ctypes.c_int16(sdl.SDL_GameControllerGetAxis(pad, axis)).value for axis in range(AXES)]
        now = "".join(map(str, buttons)) + " " + " ".join(map(str, axes))
        if shown.get(name, "0" * BUTTONS + " 0" * AXES) != now:
            say(name, now)
            if buttons[START]:
                say("rumbles", sdl.SDL_GameControllerRumble(pad, 0x1234, 0x5678, 20))
        shown[name] = now
    sdl.SDL_Delay(2)
