import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const { createGroup, navigate, server } = vi.hoisted(() => ({
  createGroup: vi.fn<(body: object, key: string, token?: string) => Promise<object>>(),
  navigate: vi.fn<(path: string) => void>(),
  server: { set: vi.fn<(state: object) => void>() },
}));
vi.mock('../lib/api', async () => {
  const { create } = await import('zustand');
  const useServer = create<{ config: object | null }>(() => ({ config: null }));
  server.set.mockImplementation(useServer.setState);
  return { api: { createGroup }, useServer };
});
vi.mock('../lib/router', () => ({ navigate }));

import { ApiError, NetworkError } from '@madang/sdk';
import { keptCreatorToken, keptOwnerKey } from '../lib/storage';
import { CallLink } from './call-link';

let root: Root;
let place: HTMLElement;

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  sessionStorage.clear();
  createGroup.mockReset().mockResolvedValue({ id: 'grp_a', owner_key: 'the key' });
  navigate.mockReset();
  server.set({ config: null });
  place = document.body.appendChild(document.createElement('div'));
  root = createRoot(place);
  act(() => root.render(<CallLink />));
});
afterEach(() => {
  act(() => root.unmount());
  place.remove();
  vi.unstubAllGlobals();
});

const find = (testId: string): HTMLElement | null => place.querySelector(`[data-testid="${testId}"]`);
const click = (testId: string): Promise<void> => act(async () => Promise.resolve(find(testId)?.click()));

function type(testId: string, text: string): void {
  const field = find(testId);
  if (!(field instanceof HTMLInputElement)) throw new Error(`no field ${testId}`);
  // React reads what is set past its own property.
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(field, text);
  act(() => void field.dispatchEvent(new Event('input', { bubbles: true })));
}

it('is one click in the development mode, and not there before it is known which mode it is', async () => {
  expect(find('call-start')).toBeNull();
  act(() => server.set({ config: { dev: true } }));
  await click('call-start');
  expect(navigate).toHaveBeenCalledExactlyOnceWith('/call/grp_a');
  expect(createGroup).toHaveBeenCalledExactlyOnceWith({ name: '' }, expect.any(String), undefined);
  expect(keptOwnerKey.read('grp_a')).toBe('the key');
});

it('says why one click was not enough', async () => {
  act(() => server.set({ config: { dev: true } }));
  createGroup.mockRejectedValueOnce(new NetworkError('away'));
  await click('call-start');
  expect(navigate).not.toHaveBeenCalled();
  expect(find('start-problem')?.textContent).toContain('cannot be reached');
  // The server may have made it: the same again makes no second one.
  await click('start-submit');
  const [first, second] = createGroup.mock.calls;
  expect(second?.[1]).toBe(first?.[1]);
  expect(navigate).toHaveBeenCalledOnce();
});

it('asks for a creator token elsewhere, keeps one that holds and says that one does not', async () => {
  act(() => server.set({ config: { dev: false } }));
  await click('call-start');
  expect(createGroup).not.toHaveBeenCalled();
  type('start-name', ' Monday ');
  type('start-token', 'bad');
  createGroup.mockRejectedValueOnce(new ApiError(401, '', 'expired'));
  await click('start-submit');
  expect(find('start-problem')?.textContent).toContain('did not accept');
  expect(keptCreatorToken.read()).toBe('');
  type('start-token', ' good ');
  await click('start-submit');
  expect(createGroup).toHaveBeenLastCalledWith({ name: 'Monday' }, expect.any(String), 'good');
  expect(createGroup.mock.calls[1]?.[1]).not.toBe(createGroup.mock.calls[0]?.[1]);
  expect(keptCreatorToken.read()).toBe('good');
  expect(find('start-submit')).toBeNull();
  expect(navigate).toHaveBeenCalledExactlyOnceWith('/call/grp_a');
});
