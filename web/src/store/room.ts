import { create } from 'zustand';
import { type BroadcastState, type ChatMessage, Signaling, type SignalingState } from '../../sdk';
import { signalingEndpoint } from '../lib/api';

/** A line of the chat. */
export type ChatLine = ChatMessage | { type: 'gap'; seq: number; dropped: number };

/** The room of the broadcast on the page: chat, presence and state, as signaling tells them. */
export interface RoomState {
  id: number | null;
  connection: SignalingState;
  lines: ChatLine[];
  viewerCount: number | null;
  chatting: number | null;
  /** The latest state of the broadcast; null until signaling has told one. */
  broadcast: BroadcastState | null;
  /** The server refused the last message. */
  refused: boolean;
}

/** A refusal within this time is about the message that was just sent. */
const REFUSAL_MS = 2_000;
/** Lines that stay in memory; older ones go. */
const MAX_LINES = 300;

const EMPTY: RoomState = {
  id: null,
  connection: 'connecting',
  lines: [],
  viewerCount: null,
  chatting: null,
  broadcast: null,
  refused: false,
};

export const useRoom = create<RoomState>(() => EMPTY);

let signaling: Signaling | null = null;
let sentAtMs = 0;

/** Enters the room of a broadcast; the returned function leaves it. */
export function enterRoom(id: number, token: () => Promise<string | undefined>): () => void {
  useRoom.setState({ ...EMPTY, id });
  let left = false;
  let own: Signaling | null = null;
  void signalingEndpoint().then((url) => {
    if (left) return;
    own = new Signaling({ url, token });
    signaling = own;
    const room = String(id);
    own.on('state', (connection) => useRoom.setState({ connection }));
    own.on('error', () => {
      if (Date.now() - sentAtMs < REFUSAL_MS) useRoom.setState({ refused: true });
    });
    own.onBroadcast(id, (broadcast) => {
      useRoom.setState({ broadcast, viewerCount: broadcast.viewer_count });
    });
    own.onPresence(room, ({ viewer_count, chatting }) => {
      useRoom.setState({ viewerCount: viewer_count, chatting });
    });
    own.onChat(room, (event) => {
      useRoom.setState(({ lines }) => ({
        lines: addLine(lines, event.type === 'gap' ? { ...event, seq: lastSeq(lines) } : event),
      }));
    });
    own.start();
  });
  return () => {
    left = true;
    if (own === null) return;
    if (signaling === own) signaling = null;
    void own.close().catch(() => undefined);
  };
}

/** Sends a chat message to the room on the page. */
export function sendChat(text: string, name: string): boolean {
  const { id } = useRoom.getState();
  if (signaling === null || id === null) return false;
  useRoom.setState({ refused: false });
  sentAtMs = Date.now();
  return signaling.sendChat(String(id), text, name);
}

/** `lines` with `line`; a history that comes again after a reconnect adds nothing twice. */
export function addLine(lines: readonly ChatLine[], line: ChatLine): ChatLine[] {
  const last = lastSeq(lines);
  if (line.type === 'message' && line.seq <= last) {
    // A server that started anew counts from the beginning: then the text is new although the number is not.
    const known = lines.some((old) => old.type === 'message' && old.seq === line.seq && old.at === line.at);
    if (known || lines.some((old) => old.type === 'message' && old.at > line.at)) return [...lines];
  }
  return [...lines, line].slice(-MAX_LINES);
}

function lastSeq(lines: readonly ChatLine[]): number {
  return lines.at(-1)?.seq ?? -1;
}
