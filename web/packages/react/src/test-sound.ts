/** Not yet in the DOM typings of every browser. */
interface ChoosesOutput {
  setSinkId?(deviceId: string): Promise<void>;
}

const NOTES_HZ = [523, 659, 784];
const NOTE_S = 0.18;
const LOUDNESS = 0.2;

/** Plays three notes on a loudspeaker; null is the default one. Resolves when they are over. */
export async function playTestSound(speakerId: string | null): Promise<void> {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const element = new Audio();
  try {
    if (speakerId !== null) {
      // One that is gone: the default one plays.
      await (element as ChoosesOutput).setSinkId?.(speakerId).catch(() => undefined);
    }
    element.srcObject = out.stream;
    await Promise.all([context.resume(), element.play()]);
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    oscillator.connect(gain).connect(out);
    const start = context.currentTime + 0.05;
    const end = start + NOTES_HZ.length * NOTE_S;
    NOTES_HZ.forEach((hertz, index) => oscillator.frequency.setValueAtTime(hertz, start + index * NOTE_S));
    // Begins and ends softly: no click.
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(LOUDNESS, start + 0.03);
    gain.gain.setValueAtTime(LOUDNESS, end - 0.1);
    gain.gain.linearRampToValueAtTime(0, end);
    oscillator.start(start);
    oscillator.stop(end);
    await new Promise<void>((ended) => oscillator.addEventListener('ended', () => ended()));
  } finally {
    element.pause();
    element.srcObject = null;
    await context.close().catch(() => undefined);
  }
}
