import { addLine, type ChatLine } from '../chat-lines.js';
import type { Pending } from '../chat-outbox.js';
import { ChatSender } from '../chat-sender.js';
import type { Signaling } from '../signaling.js';
import type { ChatMessage } from '../types.js';
import { Value } from './store.js';
import type { RoomChat } from './types.js';

/** The chat of a room. */
export class GroupChat implements RoomChat {
  readonly messages = new Value<readonly ChatMessage[]>([]);
  readonly pending = new Value<readonly Pending[]>([]);
  private lines: readonly ChatLine[] = [];
  private readonly sender: ChatSender;
  private readonly stop: () => void;

  constructor(
    signaling: Pick<Signaling, 'on' | 'onChat' | 'sendChat' | 'state'>,
    group: string,
    private readonly name: () => string,
  ) {
    this.sender = new ChatSender(signaling, group);
    this.sender.on('pending', (pending) => this.pending.set(pending));
    this.stop = signaling.onChat(group, (event) => {
      const seq = event.type === 'gap' ? (this.lines.at(-1)?.seq ?? -1) : event.seq;
      this.lines = addLine(this.lines, { ...event, seq });
      const messages = this.lines.filter((line): line is ChatMessage => line.type === 'message');
      if (messages.length !== this.messages.get().length || messages.at(-1) !== this.messages.get().at(-1))
        this.messages.set(messages);
      if (event.type === 'message') this.sender.hear(event);
    });
  }

  send(text: string): boolean {
    return this.sender.write(text, this.name());
  }

  drop(id: string): void {
    this.sender.drop(id);
  }

  retry(id: string): void {
    const refused = this.pending.get().find((message) => message.id === id);
    if (refused?.state.kind !== 'refused') return;
    this.sender.drop(id);
    this.sender.write(refused.text, refused.name);
  }

  close(): void {
    this.stop();
    this.sender.close();
  }
}
