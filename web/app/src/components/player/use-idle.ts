import { type RefObject, useEffect, useState } from 'react';

/** The bar and the pointer go away after this long without a movement. */
export const IDLE_MS = 3_000;

/** What of the player keeps the bar: somebody is about to use it. */
const BUSY = '.player-bar :focus-visible, .player-bar button:hover, [aria-expanded="true"]';

/** The click of a touch comes within this time after it. */
const CLICK_MS = 500;

/**
 * Whether nobody has moved over the player for a while; never while `plays` is false. A touch that brings the bar back
 * presses nothing of what nobody could see.
 */
export function useIdle(frame: RefObject<HTMLElement | null>, plays: boolean): boolean {
  const [idle, setIdle] = useState(false);
  useEffect(() => {
    const element = frame.current;
    if (!plays || element === null) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let place = '';
    const rest = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (element.querySelector(BUSY) === null) setIdle(true);
        else rest();
      }, IDLE_MS);
    };
    const wake = (): void => {
      setIdle(false);
      rest();
    };
    const moved = (event: PointerEvent): void => {
      // Browsers tell of a pointer that stands still when what is under it changes.
      const now = `${event.clientX} ${event.clientY}`;
      if (event.pointerType === 'touch' || now === place) return;
      place = now;
      wake();
    };
    let woken = -Infinity;
    const touched = (event: PointerEvent): void => {
      if (event.pointerType !== 'touch') return;
      if (element.dataset.idle === 'true') {
        woken = event.timeStamp;
        wake();
        return;
      }
      if (event.target instanceof Element && event.target.closest('button, input, [role="menu"]') !== null)
        wake();
      else setIdle(true);
    };
    const clicked = (event: MouseEvent): void => {
      if (event.timeStamp - woken > CLICK_MS) return;
      event.preventDefault();
      event.stopPropagation();
    };
    element.addEventListener('click', clicked, { capture: true });
    element.addEventListener('pointermove', moved);
    element.addEventListener('pointerup', touched);
    element.addEventListener('focusin', wake);
    // Keys move things without a pointer; what they do is to be seen.
    addEventListener('keydown', wake);
    rest();
    return () => {
      clearTimeout(timer);
      setIdle(false);
      element.removeEventListener('click', clicked, { capture: true });
      element.removeEventListener('pointermove', moved);
      element.removeEventListener('pointerup', touched);
      element.removeEventListener('focusin', wake);
      removeEventListener('keydown', wake);
    };
  }, [frame, plays]);
  return idle && plays;
}
