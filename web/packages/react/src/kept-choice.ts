/** What a lobby keeps in the browser. Storage may be off: then nothing is kept and nothing fails. */

/** Where a lobby keeps its choice unless it is told otherwise. */
export const LOBBY_KEY = 'madang.lobby';

interface KeptDevice {
  on: boolean;
  deviceId: string | null;
}

export interface KeptChoice {
  name: string;
  microphone: KeptDevice;
  camera: KeptDevice;
  speakerId: string | null;
}

/** What was kept under a key; null where nothing was, or something else. */
export function readChoice(key: string): KeptChoice | null {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(key) ?? 'null');
    return isChoice(value) ? value : null;
  } catch {
    return null;
  }
}

export function writeChoice(key: string, choice: KeptChoice): void {
  try {
    localStorage.setItem(key, JSON.stringify(choice));
  } catch {
    // Full or forbidden.
  }
}

/** Keeps a device that was chosen after the lobby, for the next one. `key`: where the lobby keeps its choice. */
export function keepDevice(
  kind: 'microphone' | 'camera' | 'speaker',
  deviceId: string | null,
  key: string = LOBBY_KEY,
): void {
  const kept = readChoice(key);
  if (kept === null) return;
  const change = kind === 'speaker' ? { speakerId: deviceId } : { [kind]: { ...kept[kind], deviceId } };
  writeChoice(key, { ...kept, ...change });
}

function isChoice(value: unknown): value is KeptChoice {
  const { name, microphone, camera, speakerId } = (value ?? {}) as Partial<Record<keyof KeptChoice, unknown>>;
  return typeof name === 'string' && isDevice(microphone) && isDevice(camera) && isId(speakerId);
}

function isDevice(value: unknown): value is KeptDevice {
  const { on, deviceId } = (value ?? {}) as Partial<Record<keyof KeptDevice, unknown>>;
  return typeof on === 'boolean' && isId(deviceId);
}

function isId(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}
