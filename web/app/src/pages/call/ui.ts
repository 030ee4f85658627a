import { createStore, type StoreApi } from 'zustand';
import { createInstanceContext, type Instance } from '@madang/react';
import { keptCallView } from '../../lib/storage';
import type { ViewKind, Wish } from './scene';

/** What stands beside the pictures. */
export type Panel = 'people' | 'chat';

/** What lies over the page. */
export type Dialog = 'shortcuts' | 'statistics' | 'settings';

/** A word that passes. */
export interface Toast {
  id: number;
  text: string;
}

/** How the person has the page; nothing of the room is in it. */
export interface UiState extends Wish {
  page: number;
  /** One’s own picture as in a mirror. */
  mirror: boolean;
  panel: Panel | null;
  /** The whiteboard has the stage. */
  board: boolean;
  dialog: Dialog | null;
  toasts: readonly Toast[];
  /** The picture that goes on in a small window of the browser, by its key. */
  floating: string | null;
}

/** Of more words at once the oldest goes. */
const MAX_TOASTS = 3;
const TOAST_MS = 4_500;

/** The page of one call. */
export class Ui implements Instance<UiState> {
  readonly store: StoreApi<UiState> = createStore<UiState>(() => ({
    view: 'grid',
    selfView: true,
    mirror: true,
    ...keptCallView.read(),
    pin: null,
    away: new Set(),
    page: 0,
    panel: null,
    board: false,
    dialog: null,
    toasts: [],
    floating: null,
  }));
  private readonly stop = this.store.subscribe((now, before) => {
    const { view, selfView, mirror } = now;
    const same = view === before.view && selfView === before.selfView && mirror === before.mirror;
    if (!same) keptCallView.write({ view, selfView, mirror });
  });
  private pages = 1;
  private last = 0;
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();

  set(change: Partial<UiState>): void {
    this.store.setState(change);
  }

  toggle(panel: Panel): void {
    this.store.setState((state) => ({ panel: state.panel === panel ? null : panel }));
  }

  /** Shows the call that way; screens that are shared now no longer take the stage. */
  view(view: ViewKind, screens: readonly string[]): void {
    this.store.setState({ view, pin: null, away: new Set(screens), page: 0 });
  }

  /** Shared screens take the stage again. */
  viewScreens(): void {
    this.store.setState({ pin: null, away: new Set(), page: 0 });
  }

  pin(key: string | null): void {
    this.store.setState({ pin: key });
  }

  /** Which page is shown, of how many: fewer than were there when the person turned to it, perhaps. */
  paged(page: number, pages: number): void {
    this.pages = pages;
    if (this.store.getState().page !== page) this.store.setState({ page });
  }

  /** Turns pages; false where there is but one. */
  turn(by: number): boolean {
    const { page } = this.store.getState();
    this.store.setState({ page: Math.min(Math.max(0, page + by), this.pages - 1) });
    return this.pages > 1;
  }

  /** Says a word; null is none. */
  say(text: string | null): void {
    if (text === null) return;
    this.last += 1;
    const toast = { id: this.last, text };
    // The same word twice is one that stays longer.
    const others = this.store.getState().toasts.filter((one) => one.text !== text);
    this.store.setState({ toasts: [...others, toast].slice(-MAX_TOASTS) });
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.store.setState(({ toasts }) => ({ toasts: toasts.filter(({ id }) => id !== toast.id) }));
    }, TOAST_MS);
    this.timers.add(timer);
  }

  close(): void {
    this.stop();
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }
}

export const {
  Provider: UiProvider,
  useInstance: useUi,
  useSelected: useUiState,
} = createInstanceContext<UiState, Ui>('UiProvider');
