import { beforeEach, describe, expect, it, vi } from 'vitest';

const { api, publishers, FakePublisher, FakeDevices } = vi.hoisted(() => {
  const started: unknown[] = [];
  class Publisher {
    setTrack = (): Promise<void> => Promise.resolve();
    on = (): void => undefined;
    start(): void {
      started.push(this);
    }
    end = (): Promise<void> => Promise.resolve();
    close = (): Promise<void> => Promise.resolve();
  }
  class Devices {
    open = (): Promise<void> => Promise.resolve();
    close = (): void => undefined;
  }
  return {
    api: { get: vi.fn(), create: vi.fn(), update: vi.fn(), delete: vi.fn(), iceServers: vi.fn() },
    publishers: started,
    FakePublisher: Publisher,
    FakeDevices: Devices,
  };
});

vi.mock('../lib/api', () => ({ api }));
vi.mock('./studio-devices', () => ({ StudioDevices: FakeDevices }));
vi.mock('@madang/sdk', async (original) => ({ ...(await original<object>()), WhipPublisher: FakePublisher }));

import { NetworkError } from '@madang/sdk';
import { keptBroadcast, keptCreation } from '../lib/storage';
import { EMPTY_STUDIO, useStudio } from './studio';

const KEPT = {
  id: 7,
  streamKey: 'sk',
  ownerKey: 'ok',
  whipUrl: '/whip/7',
  watchUrl: 'http://localhost/watch/7',
};
const LIVE = { id: 7, name: 'a', description: '', status: 'STREAMING', started_at: null };
const ASKED = { body: { name: 'a', description: '' }, key: 'k'.repeat(32) };

/** The studio of a page that was just opened. */
async function freshStudio(): Promise<(typeof import('./studio-session'))['studio']> {
  vi.resetModules();
  return (await import('./studio-session')).studio;
}

/** Lets everything that is due happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
}

describe('the studio', () => {
  beforeEach(() => {
    sessionStorage.clear();
    // As in a browser without locks: there is one tab.
    Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true });
    publishers.splice(0);
    for (const call of Object.values(api)) call.mockReset();
    api.update.mockResolvedValue(LIVE);
    api.delete.mockResolvedValue(undefined);
    useStudio.setState(EMPTY_STUDIO);
  });

  it('goes on after a reload', async () => {
    keptBroadcast.write(KEPT);
    api.get.mockResolvedValue(LIVE);
    (await freshStudio()).enter();
    await settle();
    expect(publishers).toHaveLength(1);
  });

  it('sends nothing after it was ended while it asked how its broadcast stands', async () => {
    keptBroadcast.write(KEPT);
    let answer = (broadcast: unknown): unknown => broadcast;
    api.get.mockReturnValue(new Promise((resolve) => (answer = resolve)));
    const studio = await freshStudio();
    studio.enter();
    await settle();
    await studio.end();
    answer(LIVE);
    await settle();
    expect(publishers).toEqual([]);
    expect(api.update).toHaveBeenCalledWith(7, { status: 'CLOSED' }, 'ok');
    expect(keptBroadcast.read()).toBeNull();
  });

  it('leaves nothing of a broadcast that the page before a reload was creating', async () => {
    keptCreation.write({ ...ASKED, token: 'creator' });
    api.create.mockResolvedValue({ id: 9, owner_key: 'ok9' });
    (await freshStudio()).enter();
    await settle();
    expect(api.create).toHaveBeenCalledExactlyOnceWith(ASKED.body, ASKED.key, 'creator');
    expect(api.delete).toHaveBeenCalledExactlyOnceWith(9, 'ok9');
    expect(keptCreation.read()).toBeNull();
  });

  it('asks again another time where the server did not answer', async () => {
    keptCreation.write(ASKED);
    api.create.mockRejectedValue(new NetworkError('away'));
    (await freshStudio()).enter();
    await settle();
    expect(keptCreation.read()).toEqual(ASKED);
    expect(api.delete).not.toHaveBeenCalled();
  });
});
