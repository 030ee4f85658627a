/** Loudness of an audio track, 0 to 1, for a meter on the page. */
export class LevelMeter {
  private readonly context = new AudioContext();
  private readonly analyser = this.context.createAnalyser();
  private readonly source: MediaStreamAudioSourceNode;
  private readonly samples: Float32Array<ArrayBuffer>;
  private readonly wake = (): void => void this.context.resume().catch(() => undefined);

  constructor(track: MediaStreamTrack) {
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.source = this.context.createMediaStreamSource(new MediaStream([track]));
    this.source.connect(this.analyser);
    // Browsers start audio contexts suspended until the person touches the page.
    addEventListener('pointerdown', this.wake);
    addEventListener('keydown', this.wake);
  }

  /** The level now: root mean square on a decibel scale from -60 dB (0) to 0 dB (1). */
  level(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    return decibelLevel(this.samples);
  }

  close(): void {
    removeEventListener('pointerdown', this.wake);
    removeEventListener('keydown', this.wake);
    this.source.disconnect();
    void this.context.close().catch(() => undefined);
  }
}

/** Root mean square of samples on a scale from -60 dB (0) to 0 dB (1). */
export function decibelLevel(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(samples.length, 1));
  const decibels = 20 * Math.log10(Math.max(rms, 1e-6));
  return Math.min(Math.max((decibels + 60) / 60, 0), 1);
}
