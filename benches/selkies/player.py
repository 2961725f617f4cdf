"""A player of a Selkies server for `bench-games --only selkies`: connects by WebRTC with the stack that Selkies brings, takes what
comes without decoding it, and prints a line for each whole picture: when it came (CLOCK_MONOTONIC, nanoseconds) and its bytes.

    player.py PORT WIDTH HEIGHT [KEYSYM]     KEYSYM is held down from when the connection is up
"""

import asyncio
import json
import sys
import time

import aiohttp
from selkies.webrtc import RTCPeerConnection, RTCSessionDescription

AGAIN = 0.1
# Tasks that nothing else refers to.
held = []


def came(_codec, frame):
    print(time.monotonic_ns(), len(frame.data), flush=True)


def connection(key):
    peer = RTCPeerConnection()

    @peer.on("track")
    def on_track(track):
        for each in peer.getTransceivers():
            if track.kind == each.kind == "video":
                # Selkies' own hook for what it does not decode itself.
                each.receiver._encoded_video_sink = came

    @peer.on("datachannel")
    def on_channel(channel):
        if key:
            held.append(asyncio.ensure_future(hold(channel, key)))

    return peer


async def hold(channel, key):
    channel.send(f"kd,{key}")
    while True:
        # Selkies lets go of keys that nobody says are held.
        channel.send(f"kh,{key}")
        await asyncio.sleep(AGAIN)


async def play(port, size, key):
    hello = {"client_type": "controller", "client_slot": 1, "display_id": "primary", "page_size": size, "client_tab_id": "bench"}
    peer = None
    address = f"http://127.0.0.1:{port}/api/webrtc/signaling"
    async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
        await socket.send_str("HELLO client " + json.dumps(hello))
        async for message in socket:
            if message.type != aiohttp.WSMsgType.TEXT:
                break
            text = message.data
            if text == "HELLO":
                await socket.send_str("SESSION server")
            elif text.startswith("ERROR"):
                # The server's own end of the signalling comes up after its port.
                print(text, file=sys.stderr, flush=True)
                await asyncio.sleep(AGAIN)
                await socket.send_str("SESSION server")
            elif "{" in text:
                who, body = text.split(" ", 1)
                told = json.loads(body).get("sdp")
                if not told:
                    continue
                peer = peer or connection(key)
                await peer.setRemoteDescription(RTCSessionDescription(sdp=told["sdp"], type=told["type"]))
                await peer.setLocalDescription(await peer.createAnswer())
                answer = {"type": peer.localDescription.type, "sdp": peer.localDescription.sdp}
                await socket.send_str(f"{who} " + json.dumps({"sdp": answer}))


port, width, height = (int(argument) for argument in sys.argv[1:4])
asyncio.run(play(port, [width, height], sys.argv[4] if len(sys.argv) > 4 else None))
