import { act, useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { describe, expect, it } from 'vitest';
import { useRevivals } from './hooks';

describe('useRevivals', () => {
  it('has what a page opened opened anew when the browser brings it back', () => {
    (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
    const log: string[] = [];
    function Page(): null {
      const revivals = useRevivals();
      useEffect(() => {
        log.push('open');
        return () => void log.push('close');
      }, [revivals]);
      return null;
    }
    const shown = (persisted: boolean): void => {
      act(() => void dispatchEvent(Object.assign(new Event('pageshow'), { persisted })));
    };
    const root = createRoot(document.createElement('div'));
    act(() => root.render(<Page />));
    // The first one comes with every page.
    shown(false);
    expect(log).toEqual(['open']);
    shown(true);
    expect(log).toEqual(['open', 'close', 'open']);
    act(() => root.unmount());
    shown(true);
    expect(log).toEqual(['open', 'close', 'open', 'close']);
  });
});
