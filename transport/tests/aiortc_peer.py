"""A WHEP-like player made with aiortc (no code of ours below the SDP): offers, decodes, reports.

Reads the answer as one JSON line on standard input after it wrote its offer as one JSON line on
standard output. Then decodes frames until it has COUNT of them, writes what it saw as one JSON line,
and ends. `--data` adds the negotiated data channels and echoes what comes on "control".
"""

import asyncio
import json
import sys

from aiortc import RTCPeerConnection, RTCSessionDescription

COUNT = 60


async def main() -> None:
    peer = RTCPeerConnection()
    frames = []
    echoed = asyncio.Event()
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    if "--data" in sys.argv:
        control = peer.createDataChannel("control", negotiated=True, id=0)
        peer.createDataChannel("input", negotiated=True, id=1)
        peer.createDataChannel("motion", negotiated=True, id=2, ordered=False, maxRetransmits=0)

        @control.on("message")
        def on_message(message):
            control.send(message)
            echoed.set()

    else:
        echoed.set()
    done = asyncio.Event()

    @peer.on("track")
    def on_track(track):
        if track.kind == "video":
            asyncio.ensure_future(read(track))

    async def read(track):
        while len(frames) < COUNT:
            frame = await track.recv()
            frames.append((frame.pts, frame.width, frame.height))
        done.set()

    await peer.setLocalDescription(await peer.createOffer())
    print(json.dumps({"sdp": peer.localDescription.sdp}), flush=True)
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await peer.setRemoteDescription(RTCSessionDescription(json.loads(line)["sdp"], "answer"))
    await asyncio.wait_for(asyncio.gather(done.wait(), echoed.wait()), timeout=60)
    widths = sorted({f"{width}x{height}" for _, width, height in frames})
    times = [pts for pts, _, _ in frames]
    print(json.dumps({"frames": len(frames), "sizes": widths, "pts": times}), flush=True)
    await peer.close()


asyncio.run(main())
