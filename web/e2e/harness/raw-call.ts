// A session of a call by hand: for clients that are not ours and do not keep to anything.

/** How a session is asked for. */
export interface RawJoin {
  group: string;
  token: string;
  /** Put over the body that an honest page would send. */
  over?: Record<string, unknown>;
  /** Puts a made picture and sound into the publish connection. */
  sends?: boolean;
  slots?: ('tile' | 'stage' | 'screen' | 'voice' | 'screen_audio')[];
}

/** What became of it. */
export interface RawAnswer {
  status: number;
  /** The answer's body, or the problem. */
  body: Record<string, unknown>;
  /** Handle of the session in the page. */
  handle: number;
}

/** What {@link rawCalls} leaves in a page for the tests. */
export interface RawCalls {
  /** Asks for a session; where it is given, both connections and the channel are connected. */
  join(options: RawJoin): Promise<RawAnswer>;
  /** A message on the channel of a session, once it is open. */
  say(handle: number, message: unknown): Promise<void>;
  /** `count` messages on it, `$n` in each its number, as fast as the page can; how many were taken. */
  flood(handle: number, count: number, message: string): Promise<number>;
  /** What was heard on the channel: the latest message of each type. */
  heard(handle: number): Record<string, Record<string, unknown>>;
  /** How its channel stands, and what was said when it ended. */
  ended(handle: number): { state: string; why: string };
  /** Frames decoded and sound got in all slots so far. */
  got(handle: number): Promise<{ frames: number; energy: number }>;
  /** Numbers that stand as CSRC on what the slots get. */
  sources(handle: number): number[];
  /** Asks for another data channel; whether it came to be, or was closed. */
  channel(handle: number, label: string, message: string): Promise<string>;
  request(method: string, path: string, body: unknown, headers: Record<string, string>): Promise<number>;
}

/** As an init script. */
export const rawCalls = `(${rawPage.toString()})();`;

/** Runs in the page, as text: it may use nothing from outside. */
function rawPage(): void {
  interface Session {
    publish: RTCPeerConnection;
    receive: RTCPeerConnection;
    channel: RTCDataChannel;
    heard: Record<string, Record<string, unknown>>;
    why: string;
  }
  const sessions: Session[] = [];
  const session = (handle: number): Session => {
    const found = sessions[handle];
    if (found === undefined) throw new Error(`no session ${handle}`);
    return found;
  };
  const until = async (check: () => boolean): Promise<void> => {
    while (!check()) await new Promise((wake) => setTimeout(wake, 20));
  };
  const open = async (handle: number): Promise<RTCDataChannel> => {
    const { channel } = session(handle);
    await until(() => channel.readyState !== 'connecting');
    return channel;
  };
  /** Whether there was room for it in two seconds: a server may take no more. */
  const put = async (text: string, channel: RTCDataChannel): Promise<boolean> => {
    const late = performance.now() + 2_000;
    await until(() => channel.bufferedAmount < 1 << 20 || performance.now() > late);
    const fits = channel.readyState === 'open' && channel.bufferedAmount < 1 << 20;
    if (fits) channel.send(text);
    return fits;
  };

  const calls: RawCalls = {
    async join({ group, token, over = {}, sends = false, slots = ['tile', 'tile', 'voice', 'voice'] }) {
      const publish = new RTCPeerConnection();
      const receive = new RTCPeerConnection();
      const picture = publish.addTransceiver('video', { direction: 'sendonly' });
      const sound = publish.addTransceiver('audio', { direction: 'sendonly' });
      if (sends) {
        const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
        await picture.sender.replaceTrack(media.getVideoTracks()[0] ?? null);
        await sound.sender.replaceTrack(media.getAudioTracks()[0] ?? null);
      }
      const own = slots.map((kind) => {
        const isSound = kind === 'voice' || kind === 'screen_audio';
        return {
          kind,
          transceiver: receive.addTransceiver(isSound ? 'audio' : 'video', { direction: 'recvonly' }),
        };
      });
      const channel = receive.createDataChannel('-/call');
      const heard: Session['heard'] = {};
      channel.onmessage = ({ data }: MessageEvent<string>) => {
        const event = JSON.parse(data) as { type: string; [key: string]: unknown };
        heard[event.type] = event;
      };
      await Promise.all([publish.setLocalDescription(), receive.setLocalDescription()]);
      const handle = sessions.push({ publish, receive, channel, heard, why: '' }) - 1;
      channel.onerror = ({ error }) => (session(handle).why = error.message);
      const answer = await fetch(`/rooms/${group}/sessions`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
        body: JSON.stringify({
          publish: {
            sdp: publish.localDescription?.sdp,
            sources: [
              { mid: picture.mid, source: 'camera' },
              { mid: sound.mid, source: 'microphone' },
            ],
          },
          receive: {
            sdp: receive.localDescription?.sdp,
            slots: own.map(({ kind, transceiver: { mid } }) => ({ mid, kind })),
          },
          ...over,
        }),
      });
      const body = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
      if (answer.status === 201) {
        // It does not care how long a message may be.
        const sdp = (name: string) => {
          const text = String(body[name]).replace(/a=max-message-size:\d+/, 'a=max-message-size:262144');
          return { type: 'answer', sdp: text } as const;
        };
        if ('publish_sdp' in body) await publish.setRemoteDescription(sdp('publish_sdp'));
        if ('receive_sdp' in body) await receive.setRemoteDescription(sdp('receive_sdp'));
        await open(handle);
      }
      return { status: answer.status, body, handle };
    },
    async say(handle, message) {
      await put(JSON.stringify(message), await open(handle));
    },
    async flood(handle, count, message) {
      const channel = await open(handle);
      for (let n = 0; n < count; n += 1)
        if (!(await put(message.replaceAll('$n', String(n)), channel))) return n;
      return count;
    },
    heard: (handle) => session(handle).heard,
    ended: (handle) => ({ state: session(handle).channel.readyState, why: session(handle).why }),
    async got(handle) {
      const sum = { frames: 0, energy: 0 };
      (await session(handle).receive.getStats()).forEach((entry: Record<string, unknown>) => {
        if (entry.type !== 'inbound-rtp') return;
        if (typeof entry.framesDecoded === 'number') sum.frames += entry.framesDecoded;
        if (typeof entry.totalAudioEnergy === 'number') sum.energy += entry.totalAudioEnergy;
      });
      return sum;
    },
    sources(handle) {
      const receivers = session(handle).receive.getReceivers();
      return receivers.flatMap((receiver) => receiver.getContributingSources().map(({ source }) => source));
    },
    async channel(handle, label, message) {
      const channel = session(handle).receive.createDataChannel(label);
      await Promise.race([
        until(() => channel.readyState !== 'connecting'),
        new Promise((wake) => setTimeout(wake, 2_000)),
      ]);
      if (channel.readyState === 'open') for (let n = 0; n < 50; n += 1) await put(message, channel);
      return channel.readyState;
    },
    async request(method, path, body, headers) {
      const answer = await fetch(path, {
        method,
        headers: { 'Content-Type': 'application/json', ...headers },
        ...(body === null ? {} : { body: JSON.stringify(body) }),
      });
      return answer.status;
    },
  };
  (window as unknown as { __raw: RawCalls }).__raw = calls;
}
