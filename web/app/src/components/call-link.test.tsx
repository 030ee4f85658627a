import { createRoot } from 'react-dom/client';
import { act } from 'react';
import { afterEach, expect, test, vi } from 'vitest';
import { useServer } from '../lib/api';
import { CallLink } from './call-link';

afterEach(() => void vi.unstubAllGlobals());

test('a call is offered only where the page can make one', () => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  const place = document.createElement('div');
  const root = createRoot(place);
  act(() => root.render(<CallLink />));
  expect(place.querySelector('button')).toBeNull();
  const server = { signaling_url: '', sfu_url: '', version: '' };
  act(() => useServer.setState({ config: { ...server, dev: false } }));
  expect(place.querySelector('button')).toBeNull();
  act(() => useServer.setState({ config: { ...server, dev: true } }));
  expect(place.querySelector('button')).not.toBeNull();
  act(() => root.unmount());
});
