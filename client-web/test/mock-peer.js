// A mock of a node's media side, in a second page: sends a moving canvas with the machine-readable strip,
// speaks the control channel, and notes what it hears. Used by test/browser.mjs.
/* global RTCPeerConnection, RTCRtpSender, setInterval, clearInterval */

const canvas = document.querySelector('canvas');
const context = canvas.getContext('2d', { alpha: false });
const mock = { heard: [], inputs: [], newestInput: 0, frame: 0, lit: false, peer: undefined, control: undefined, pings: 0 };
window.mock = mock;

const CELL = 16;

function drawStrip(frame, input) {
  const word = (frame & 0xffff).toString(2).padStart(16, '0') + (input & 0xffff).toString(2).padStart(16, '0');
  const parity = [...word].filter((bit) => bit === '1').length % 2;
  [...word, String(parity)].forEach((bit, cell) => {
    context.fillStyle = bit === '1' ? '#fff' : '#000';
    context.fillRect(cell * CELL, 0, CELL, CELL);
  });
}

function draw() {
  mock.frame += 1;
  const t = mock.frame / 30;
  context.fillStyle = mock.lit ? '#5a4326' : '#202a3a';
  context.fillRect(0, 0, 1280, 720);
  context.fillStyle = '#141b27';
  context.beginPath();
  context.moveTo(0, 720);
  for (let x = 0; x <= 1280; x += 40) context.lineTo(x, 470 + Math.sin(x / 190 + t * 0.3) * 60 + Math.sin(x / 60) * 14);
  context.lineTo(1280, 720);
  context.fill();
  context.fillStyle = '#f2b25c';
  context.beginPath();
  context.arc(640 + Math.cos(t) * 380, 220 + Math.sin(t * 1.3) * 60, 42, 0, Math.PI * 2);
  context.fill();
  drawStrip(mock.frame, mock.newestInput);
}
setInterval(draw, 33);

const STAGES = { capture: 0.12, draw: 6.4, convert: 1.1, mailbox: 0.2, encode: 5.2, queue: 0.1, packetise: 0.15, pace: 0.9, seal: 0.12, send: 0.2, network: 3.1, present: 2.2 };

function stats() {
  let [p50, p95] = [0, 0];
  const stages = Object.entries(STAGES).map(([stage, typical], index) => {
    const now = typical * (1 + 0.22 * Math.sin(mock.frame / (9 + index) + index));
    p50 += now;
    p95 += now * 1.5;
    return { stage, ms: { p50: now, p95: now * 1.6, p99: now * 2.2 } };
  });
  return {
    type: 'stats', fps: 29.9, kbps: 6240, target_kbps: 8000, coded: [1280, 720], internal: [1120, 630], rtt_ms: 0.8, clock_error_ms: 0.31,
    unchanged: 14, dropped: 2, keyframes: 1, stages, total: { p50, p95, p99: p95 * 1.2 },
  };
}

mock.answer = async (sdp) => {
  mock.peer?.close();
  const peer = new RTCPeerConnection();
  mock.peer = peer;
  const control = peer.createDataChannel('control', { negotiated: true, id: 0 });
  const channels = [
    peer.createDataChannel('input', { negotiated: true, id: 1 }),
    peer.createDataChannel('motion', { negotiated: true, id: 2, ordered: false, maxRetransmits: 0 }),
  ];
  mock.control = control;
  const say = (message) => control.readyState === 'open' && control.send(JSON.stringify(message));
  control.onopen = () => {
    say({
      type: 'hello', session: 'mock', video: { width: 1280, height: 720, fps: 30, max_kbps: 8000 }, encoder: 'H.264 by x264enc',
      declined: ['NVENC: libnvidia-encode.so.1 is not installed', 'VA-API: no render node'], device: 'llvmpipe (software Vulkan)',
    });
    say({ type: 'news from a later version' });
    const timer = setInterval(() => {
      if (control.readyState !== 'open') return clearInterval(timer);
      say({ type: 'ping', id: (mock.pings += 1) });
      say(stats());
    }, 250);
  };
  control.onmessage = ({ data }) => mock.heard.push(JSON.parse(data));
  for (const channel of channels) {
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) => {
      const view = new DataView(data);
      const seq = view.getUint32(1, true);
      mock.newestInput = Math.max(mock.newestInput, seq);
      const bytes = Array.from(new Uint8Array(data));
      if (bytes[0] === 1 && bytes[7] === 1) mock.lit = !mock.lit;
      mock.inputs.push({ channel: channel.label, kind: bytes[0], seq, bytes });
    };
  }
  await peer.setRemoteDescription({ type: 'offer', sdp });
  const [track] = canvas.captureStream(30).getTracks();
  track.contentHint = 'detail';
  const sender = peer.addTrack(track);
  const transceiver = peer.getTransceivers().find((one) => one.sender === sender);
  transceiver.setCodecPreferences?.(
    RTCRtpSender.getCapabilities('video').codecs.filter(({ mimeType }) => /VP8|rtx/i.test(mimeType)),
  );
  await peer.setLocalDescription();
  await new Promise((resolve) => {
    if (peer.iceGatheringState === 'complete') resolve();
    peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && resolve();
  });
  return peer.localDescription.sdp;
};
mock.say = (message) => mock.control.send(JSON.stringify(message));
mock.drop = () => mock.peer.close();
