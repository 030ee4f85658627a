import { useEffect, useEffectEvent, useState } from 'react';
import { useRoom, useRoomState, useStoreValue } from '@madang/react';
import type { Actions } from './actions';
import { MutedTalk } from './muted-talk';
import { type Shortcut, shortcutOf } from './shortcuts';
import { SIGNALING_GRACE_MS, standing, type Standing } from './standing';

/** Keys of the keyboard, wherever the focus is on the page. */
export function useShortcuts(actions: Actions, does: (shortcut: Exclude<Shortcut, 'talk'>) => boolean): void {
  const act = useEffectEvent(does);
  useEffect(() => {
    const down = (event: KeyboardEvent): void => {
      const shortcut = event.defaultPrevented ? null : shortcutOf(event);
      if (shortcut === null) return;
      if (shortcut === 'talk') {
        // It would scroll the page.
        event.preventDefault();
        actions.pressTalk();
      } else if (act(shortcut)) {
        event.preventDefault();
      }
    };
    const up = ({ code }: KeyboardEvent): void => {
      if (code === 'Space') actions.endTalk();
    };
    const end = (): void => actions.endTalk();
    addEventListener('keydown', down);
    addEventListener('keyup', up);
    addEventListener('blur', end);
    document.addEventListener('visibilitychange', end);
    return () => {
      removeEventListener('keydown', down);
      removeEventListener('keyup', up);
      removeEventListener('blur', end);
      document.removeEventListener('visibilitychange', end);
      end();
    };
  }, [actions]);
}

/** Keeps the screen from going dark, where the browser can; it lets go whenever the page is not seen. */
export function useWakeLock(): void {
  useEffect(() => {
    let ended = false;
    let lock: WakeLockSentinel | null = null;
    const take = async (): Promise<void> => {
      // Older browsers have none, whatever the types say.
      const { wakeLock } = navigator as { wakeLock?: WakeLock };
      if (wakeLock === undefined || document.visibilityState !== 'visible' || lock?.released === false)
        return;
      const taken = await wakeLock.request('screen');
      if (ended) await taken.release();
      else lock = taken;
    };
    // A phone that saves its battery says no.
    const retake = (): void => void take().catch(() => undefined);
    retake();
    document.addEventListener('visibilitychange', retake);
    return () => {
      ended = true;
      document.removeEventListener('visibilitychange', retake);
      void lock?.release().catch(() => undefined);
    };
  }, []);
}

/** What the banner says. */
export function useStanding(): Standing | null {
  const { call, failure, signaling } = useRoomState();
  const online = useOnline();
  const isAway = signaling !== 'connected';
  const [longAway, setLongAway] = useState(false);
  useEffect(() => {
    if (!isAway) return;
    const timer = setTimeout(() => setLongAway(true), SIGNALING_GRACE_MS);
    return () => {
      clearTimeout(timer);
      setLongAway(false);
    };
  }, [isAway]);
  const signalingAwayMs = isAway && longAway ? SIGNALING_GRACE_MS : 0;
  return standing({ call, failure, signaling, online, signalingAwayMs });
}

function useOnline(): boolean {
  const [online, setOnline] = useState(() => navigator.onLine);
  useEffect(() => {
    const update = (): void => setOnline(navigator.onLine);
    addEventListener('online', update);
    addEventListener('offline', update);
    return () => {
      removeEventListener('online', update);
      removeEventListener('offline', update);
    };
  }, []);
  return online;
}

/** "You are muted" stays this long. */
const WARN_MS = 7_000;

/** Whether to say that one speaks and is muted; ends by itself, and as soon as one is heard. */
export function useMutedTalk(): boolean {
  const { mic } = useRoom().me;
  const muted = useStoreValue(mic.state, ({ state }) => state === 'off' || state === 'blocked');
  const [warns, setWarns] = useState(false);
  useEffect(() => {
    const talk = new MutedTalk();
    return mic.level.subscribe(() => {
      const { state } = mic.state.get();
      const isMuted = state === 'off' || state === 'blocked';
      if (talk.level(mic.level.get(), isMuted, performance.now())) setWarns(true);
    });
  }, [mic]);
  useEffect(() => {
    if (!warns) return;
    const timer = setTimeout(() => setWarns(false), WARN_MS);
    return () => clearTimeout(timer);
  }, [warns]);
  return warns && muted;
}
