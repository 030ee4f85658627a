import { Backoff, sleep } from './backoff.js';
import { toApiError } from './problem.js';

/** One server-sent event. */
export interface ServerEvent {
  type: string;
  data: string;
}

/** A line or event that is longer ends the stream: ours are a few hundred characters. */
const MAX_EVENT_CHARS = 65_536;
/** A server says something at least every 15 s; a stream that is silent this long is dead. */
const SILENCE_MS = 45_000;

/** Parses `text/event-stream` (HTML standard, section 9.2) from chunks of any size. Ids and retry times are not read. */
export class EventStreamParser {
  private rest = '';
  private type = '';
  private data: string[] = [];
  private size = 0;

  /** The events that this chunk completes. Throws `RangeError` where one is too long. */
  push(chunk: string): ServerEvent[] {
    const lines = (this.rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? '';
    const events: ServerEvent[] = [];
    for (const line of lines) {
      this.size += line.length;
      const event = line === '' ? this.take() : this.field(line);
      if (event !== null) events.push(event);
      if (this.size > MAX_EVENT_CHARS) throw new RangeError('event too long');
    }
    if (this.rest.length > MAX_EVENT_CHARS) throw new RangeError('event too long');
    return events;
  }

  private field(line: string): null {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === 'event') this.type = value;
    else if (name === 'data') this.data.push(value);
    // Comments keep a stream open: they must not add up to an event that is too long.
    else this.size -= line.length;
    return null;
  }

  private take(): ServerEvent | null {
    const { type, data } = this;
    this.type = '';
    this.data = [];
    this.size = 0;
    return data.length === 0 ? null : { type: type === '' ? 'message' : type, data: data.join('\n') };
  }
}

/**
 * Follows a stream of server-sent events, with a bearer that `EventSource` cannot send. A stream that breaks is opened
 * again with backoff. Resolves when the server refuses it for good; rejects when `signal` aborts.
 */
export async function followEvents(
  url: string,
  bearer: string | undefined,
  signal: AbortSignal,
  onEvent: (event: ServerEvent) => void,
): Promise<void> {
  const backoff = new Backoff();
  for (;;) {
    const refused = await readEvents(url, bearer, signal, (event) => {
      backoff.reset();
      onEvent(event);
    }).catch(() => false);
    signal.throwIfAborted();
    if (refused) return;
    await sleep(backoff.next(), signal);
  }
}

/** One try; true if there is no use in another one. */
async function readEvents(
  url: string,
  bearer: string | undefined,
  signal: AbortSignal,
  onEvent: (event: ServerEvent) => void,
): Promise<boolean> {
  const silence = new AbortController();
  const watchdog = (): ReturnType<typeof setTimeout> => setTimeout(() => silence.abort(), SILENCE_MS);
  let timer = watchdog();
  try {
    const response = await fetch(url, {
      headers: {
        Accept: 'text/event-stream',
        ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }),
      },
      cache: 'no-store',
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (!response.ok) {
      const { status } = await toApiError(response);
      return status < 500 && status !== 408 && status !== 429;
    }
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    const reader = response.body?.getReader();
    for (;;) {
      const part = await reader?.read();
      if (part?.value === undefined) return false;
      clearTimeout(timer);
      timer = watchdog();
      parser.push(decoder.decode(part.value, { stream: true })).forEach(onEvent);
    }
  } finally {
    clearTimeout(timer);
    // A stream that was left, because of what it said, must not stay open.
    silence.abort();
  }
}
