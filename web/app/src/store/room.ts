import { create } from 'zustand';
import {
  type BroadcastState,
  type ChatMessage,
  type Outcome,
  Signaling,
  type SignalingState,
} from '@madang/sdk';
import { signalingEndpoint } from '../lib/api';

/** A line of the chat. */
export type ChatLine = ChatMessage | { type: 'gap'; seq: number; dropped: number };

/** An outcome of a message that was not sent. */
export type Refusal = Extract<Outcome, { sent: false }>;

/** The room of the broadcast on the page: chat, presence and state, as signaling tells them. */
export interface RoomState {
  id: number | null;
  connection: SignalingState;
  lines: ChatLine[];
  viewerCount: number | null;
  chatting: number | null;
  /** The latest state of the broadcast; null until signaling has told one. */
  broadcast: BroadcastState | null;
  /** Why the server does not have the last message, if it does not. */
  refused: Refusal | null;
  /** A message is on its way: the server has not answered yet. */
  sending: boolean;
}

/** Lines that stay in memory; older ones go. */
const MAX_LINES = 300;

const EMPTY: RoomState = {
  id: null,
  connection: 'connecting',
  lines: [],
  viewerCount: null,
  chatting: null,
  broadcast: null,
  refused: null,
  sending: false,
};

export const useRoom = create<RoomState>(() => EMPTY);

let signaling: Signaling | null = null;

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

/** Sends a chat message to the room on the page; resolves with whether the server has it. */
export async function sendChat(text: string, name: string): Promise<boolean> {
  const { id, sending } = useRoom.getState();
  const own = signaling;
  if (own === null || id === null || sending) return false;
  useRoom.setState({ refused: null, sending: true });
  const outcome = await own.sendChat(String(id), text, name);
  // The answer is of no interest in another room.
  if (signaling === own) useRoom.setState({ sending: false, refused: outcome.sent ? null : outcome });
  return outcome.sent;
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
