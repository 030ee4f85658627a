import { createContext, use } from 'react';
import { useStore } from 'zustand';
import { useStoreValue } from '@madang/react';
import type { ChatStatus, RoomChat, SignalingState } from '@madang/sdk';
import type { ChatDesk, DeskState } from '../../store/chat-desk';

/** Somebody to whom one can write alone. */
export interface Addressee {
  id: string;
  name: string;
}

/** The chat that a part of the page belongs to, and how it is there. */
export interface ChatPlace {
  chat: RoomChat;
  desk: ChatDesk;
  connection: SignalingState;
  /** Nothing is written any more. */
  closed: boolean;
  /** This person may read only. */
  silenced: boolean;
  /** The name is known: it is not asked for. */
  named: boolean;
  /** `from` of one's own messages, as far as it is known. */
  me: string | null;
  moderator: boolean;
  /** To whom one can write alone; null where there is no such thing. */
  people: readonly Addressee[] | null;
  /** Says something that happened, for a moment. */
  say: (text: string) => void;
}

export const ChatContext = createContext<ChatPlace | null>(null);

/** The chat around this part of the page. */
export function useChat(): ChatPlace {
  const place = use(ChatContext);
  if (place === null) throw new Error('no chat around this part of the page');
  return place;
}

/** What the person has at hand. */
export function useDesk<Selected>(select: (state: DeskState) => Selected): Selected {
  return useStore(useChat().desk.store, select);
}

/** How the chat stands; draws again only when what is selected changes. */
export function useChatStatus<Selected>(select: (status: ChatStatus) => Selected): Selected {
  return useStoreValue(useChat().chat.status, select);
}
