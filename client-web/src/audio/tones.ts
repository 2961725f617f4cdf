// What is loudest in each channel, for those who look at the sound from outside.

/** The loudest tone of a channel, in Hz, and how loud it is, in decibels of the most that a sample can be. */
export interface Tone {
  readonly hertz: number;
  readonly decibels: number;
}

const BINS = 8_192;
/** What is looked at is half as long. */
const LISTEN_MS = 500;

/** Listens to what comes out of a node for a moment. */
export async function tonesOf(node: AudioNode, channels: number): Promise<readonly Tone[]> {
  const { context } = node;
  const splitter = new ChannelSplitterNode(context, { numberOfOutputs: channels });
  node.connect(splitter);
  const analysers = Array.from({ length: channels }, (_, channel) => {
    const analyser = new AnalyserNode(context, { fftSize: 2 * BINS, smoothingTimeConstant: 0 });
    splitter.connect(analyser, channel);
    return analyser;
  });
  await new Promise((resolve) => { setTimeout(resolve, LISTEN_MS); });
  const tones = analysers.map((analyser) => {
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const loudest = bins.reduce((most, decibels, bin) => (decibels > (bins[most] ?? -Infinity) ? bin : most), 0);
    return { hertz: (loudest * context.sampleRate) / (2 * BINS), decibels: bins[loudest] ?? -Infinity };
  });
  node.disconnect(splitter);
  return tones;
}
