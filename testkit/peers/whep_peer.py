"""A WHEP player that shares no code with the browser's: aiortc (its own ICE, DTLS, SRTP and RTP) over FFmpeg.

It asks a node for a session, offers one receive-only video and no data channel, decodes frames, ends the
connection by its resource, and prints one line of JSON about what it saw. With --sound it offers to receive
sound as well, and listens until it hears something. Whatever goes wrong is a
traceback and a status other than 0.

    whep_peer.py NODE APP [--frames N] [--width W] [--height H] [--fps F] [--deadline S] [--token T] [--sound]
"""

import argparse
import asyncio
import json
import sys
import urllib.error
import urllib.request

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError


def request(method, url, body=None, kind=None, token=None):
    """One HTTP exchange: status, headers, body as text."""
    message = urllib.request.Request(url, method=method, data=None if body is None else body.encode())
    if kind is not None:
        message.add_header("Content-Type", kind)
    if token is not None:
        message.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(message, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as problem:
        text = problem.read().decode()
        raise RuntimeError(f"{method} {url}: {problem.code} {text}") from None


def luma(frame):
    """The brightness plane, row by row without padding, thinned to every fourth row."""
    plane = frame.planes[0]
    raw = bytes(plane)
    rows = range(0, frame.height, 4)
    return b"".join(raw[row * plane.line_size : row * plane.line_size + frame.width] for row in rows)


async def decode(track, wanted):
    """Decodes `wanted` frames of a track; says how they differ in space and time."""
    sizes, times, spread, changed = set(), [], 0, 0
    before = None
    while len(times) < wanted:
        frame = await track.recv()
        picture = luma(frame)
        sizes.add((frame.width, frame.height))
        times.append(frame.pts)
        spread = max(spread, max(picture) - min(picture))
        changed += before is not None and picture != before
        before = picture
    return {
        "frames": len(times),
        "sizes": sorted(sizes),
        "increasing": all(a < b for a, b in zip(times, times[1:])),
        "spread": spread,
        "changed": changed,
    }


async def listen(track):
    """Decodes sound until there is some: its form, and the first that was heard."""
    while True:
        frame = await track.recv()
        # Two bytes a sample, whatever the layout.
        samples = memoryview(bytes(frame.planes[0])).cast("h")
        loudest = max(map(abs, samples), default=0)
        if loudest > 1000:
            return {"hertz": frame.sample_rate, "channels": len(frame.layout.channels), "loudest": loudest}


async def play(options):
    wish = {
        "app": options.app,
        "video": {"width": options.width, "height": options.height, "fps": options.fps},
    }
    _, _, body = await asyncio.to_thread(
        request, "POST", f"{options.node}api/v1/sessions", json.dumps(wish), "application/json", options.token
    )
    session = json.loads(body)
    peer = RTCPeerConnection()
    tracks = asyncio.Queue()
    peer.on("track", tracks.put_nowait)
    peer.addTransceiver("video", direction="recvonly")
    if options.sound:
        peer.addTransceiver("audio", direction="recvonly")
    try:
        await peer.setLocalDescription(await peer.createOffer())
        status, headers, answer = await asyncio.to_thread(
            request, "POST", session["whep_url"], peer.localDescription.sdp, "application/sdp", session["token"]
        )
        resource = headers["Location"]
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        kinds = {}
        while len(kinds) < 1 + options.sound:
            track = await tracks.get()
            kinds[track.kind] = track
        try:
            seen = await decode(kinds["video"], options.frames)
            if options.sound:
                seen["heard"] = await listen(kinds["audio"])
        except MediaStreamError:
            raise RuntimeError(f"the stream ended; the connection is {peer.connectionState}") from None
        gone, _, _ = await asyncio.to_thread(request, "DELETE", resource, token=session["token"])
        return {**seen, "session": session["id"], "answered": status, "deleted": gone}
    finally:
        await peer.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("node")
    parser.add_argument("app")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--deadline", type=float, default=120)
    parser.add_argument("--token")
    parser.add_argument("--sound", action="store_true")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(asyncio.wait_for(play(options), options.deadline))))


if __name__ == "__main__":
    sys.exit(main())
