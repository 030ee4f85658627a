/** Bodies of the REST and STOMP interfaces, as the services' code describes them, and names for parts of them. */

import type { ChatEvent } from './contract.js';

export * from './contract.js';

/** One chat message. */
export type ChatMessage = Extract<ChatEvent, { type: 'message' }>;

/** Messages that were dropped for a slow client. */
export type ChatGap = Extract<ChatEvent, { type: 'gap' }>;
