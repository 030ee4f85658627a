// Somebody in front of a made camera and a made microphone: whoever looks at a captured page knows who is in each of its
// pictures and how old it is, and whoever listens knows who is heard by the pitch.

import { watchConnections } from './browser';
import { cellsOf } from './mark';

/** What somebody's camera and microphone are like. */
export interface PersonaOptions {
  /** Below {@link PEOPLE} of marks. */
  person: number;
  /** Lines of the camera's picture, at 16:9. Fewer encodings are made of fewer lines. */
  height?: number;
  /** Pictures a second. Two cores carry all the browsers. */
  fps?: number;
  /**
   * What the microphone hears: a tone of the person's own pitch, nothing until `say` is called, or the browser's own
   * made microphone: where there is no loudspeaker Firefox makes no sound of its own.
   */
  voice?: 'tone' | 'silent' | 'device';
}

/** Pitch of a person's tone, Hz. */
export function pitchOf(person: number): number {
  return 350 + 230 * person;
}

/** As an init script: puts somebody in front of the camera and the microphone of a page, and behind its shared screens. */
export function persona({ person, height = 360, fps = 10, voice = 'tone' }: PersonaOptions): string {
  const options = { person, height, fps, voice, pitch: pitchOf(person) };
  return `${watchConnections} (${personaPage.toString()})(${JSON.stringify(options)}, ${cellsOf.toString()});`;
}

/** What {@link persona} leaves in a page for the tests. */
export interface PersonaPage {
  /** Plays a WAV file, in base64, into the microphone; resolves when it is over. */
  say(wav: string): Promise<void>;
  /** How loud each of `pitches` is in what the page receives, in dB. Not in Firefox. */
  hears(pitches: number[]): number[];
  /** How much sound each voice that the page receives has brought so far. */
  energies(): Promise<number[]>;
  /** Ends all shared screens, as the browser's own bar does. */
  endScreens(): void;
}

/** Runs in the page, as text: it may use nothing from outside. */
function personaPage(
  options: { person: number; height: number; fps: number; voice: string; pitch: number },
  cells: typeof cellsOf,
): void {
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  // A page of an origin that is not secure has none.
  if (devices === undefined) return;
  const { person, pitch, voice } = options;

  const film = (isScreen: boolean, height: number, fps: number): MediaStreamTrack => {
    const canvas = document.createElement('canvas');
    canvas.height = height;
    canvas.width = (height * 16) / 9;
    const pen = canvas.getContext('2d');
    if (pen === null) throw new Error('no canvas');
    const draw = (): void => {
      const { width } = canvas;
      pen.fillStyle = `hsl(${(person * 67) % 360} 35% ${isScreen ? 85 : 45}%)`;
      pen.fillRect(0, 0, width, height);
      const side = (height * 0.72) / 6;
      cells(person, isScreen, performance.timeOrigin + performance.now()).forEach((isWhite, index) => {
        pen.fillStyle = isWhite ? '#fff' : '#000';
        const x = width / 2 + ((index % 6) - 3) * side;
        pen.fillRect(x, height / 2 + (Math.floor(index / 6) - 3) * side, side + 0.5, side + 0.5);
      });
    };
    draw();
    const [track] = canvas.captureStream(fps).getVideoTracks();
    if (track === undefined) throw new Error('no picture');
    const timer = setInterval(draw, 1_000 / fps);
    const stop = track.stop.bind(track);
    track.stop = () => {
      clearInterval(timer);
      stop();
    };
    return track;
  };

  let context: AudioContext | null = null;
  const audio = (): AudioContext => {
    context ??= new AudioContext({ sampleRate: 48_000 });
    void context.resume();
    return context;
  };
  /** Everything that the microphone hears. */
  let room: GainNode | null = null;
  const microphone = (): MediaStreamTrack => {
    const own = audio();
    if (room === null) {
      room = own.createGain();
      if (voice === 'tone') {
        const tone = own.createOscillator();
        tone.frequency.value = pitch;
        const gain = own.createGain();
        gain.gain.value = 0.1;
        tone.connect(gain).connect(room);
        tone.start();
      }
    }
    const end = own.createMediaStreamDestination();
    room.connect(end);
    const [track] = end.stream.getAudioTracks();
    if (track === undefined) throw new Error('no sound');
    return track;
  };

  const native = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async ({ audio: sound = false, video: picture = false } = {}) => {
    const tracks: MediaStreamTrack[] = [];
    if (sound !== false)
      tracks.push(...(voice === 'device' ? (await native({ audio: sound })).getTracks() : [microphone()]));
    if (picture !== false) tracks.push(film(false, options.height, options.fps));
    return new MediaStream(tracks);
  };
  const screens = new Set<MediaStreamTrack>();
  devices.getDisplayMedia = () => {
    const track = film(true, 540, 5);
    screens.add(track);
    return Promise.resolve(new MediaStream([track]));
  };

  /** The connections that receive. */
  const connected = (): RTCPeerConnection[] => {
    const { __connections: all } = window as unknown as { __connections: RTCPeerConnection[] };
    return all.filter(({ connectionState }) => connectionState === 'connected');
  };
  const listeners = new Map<MediaStreamTrack, AnalyserNode>();
  const page: PersonaPage = {
    async say(wav) {
      const own = audio();
      const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
      const source = own.createBufferSource();
      source.buffer = await own.decodeAudioData(bytes.buffer);
      room ??= own.createGain();
      source.connect(room);
      await new Promise<void>((over) => {
        source.onended = () => over();
        source.start();
      });
    },
    hears(pitches) {
      const own = audio();
      const live = connected()
        .flatMap((connection) => connection.getReceivers().map(({ track }) => track))
        .filter(({ kind, readyState }) => kind === 'audio' && readyState === 'live');
      const loudest = pitches.map(() => -Infinity);
      for (const track of live) {
        let analyser = listeners.get(track);
        if (analyser === undefined) {
          analyser = own.createAnalyser();
          analyser.fftSize = 4096;
          analyser.smoothingTimeConstant = 0;
          own.createMediaStreamSource(new MediaStream([track])).connect(analyser);
          listeners.set(track, analyser);
        }
        const bins = new Float32Array(analyser.frequencyBinCount);
        analyser.getFloatFrequencyData(bins);
        pitches.forEach((wanted, index) => {
          const bin = Math.round((wanted * 4096) / own.sampleRate);
          for (let near = bin - 1; near <= bin + 1; near += 1)
            loudest[index] = Math.max(loudest[index] ?? -Infinity, bins[near] ?? -Infinity);
        });
      }
      return loudest;
    },
    async energies() {
      const all: number[] = [];
      for (const connection of connected()) {
        (await connection.getStats()).forEach((entry: Record<string, unknown>) => {
          if (entry.type === 'inbound-rtp' && entry.kind === 'audio')
            all.push(typeof entry.totalAudioEnergy === 'number' ? entry.totalAudioEnergy : 0);
        });
      }
      return all;
    },
    endScreens() {
      for (const track of screens) {
        track.stop();
        track.dispatchEvent(new Event('ended'));
      }
      screens.clear();
    },
  };
  (window as unknown as { __persona: PersonaPage }).__persona = page;
}
