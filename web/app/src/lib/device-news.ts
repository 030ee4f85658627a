/** A device as the browser lists it. */
export type Listed = Pick<MediaDeviceInfo, 'deviceId' | 'kind' | 'label'>;

/** Which device of a kind is used: by its id, or by its name where the default one is. */
export interface Used {
  deviceId: string | null;
  label: string;
}

/** Something that has come or gone. */
export interface DeviceNews {
  kind: 'microphone' | 'camera' | 'speaker';
  /** `lost`: it was the one that was used. */
  what: 'lost' | 'came';
  deviceId: string;
  name: string;
}

const KINDS: Readonly<Record<MediaDeviceKind, DeviceNews['kind']>> = {
  audioinput: 'microphone',
  videoinput: 'camera',
  audiooutput: 'speaker',
};

/** Chromium lists the default one a second time, under such a name. */
const ALIASES: readonly string[] = ['', 'default', 'communications'];

/** What of a change of the list of devices a person wants to know. */
export function deviceNews(
  before: readonly Listed[],
  after: readonly Listed[],
  used: Readonly<Record<DeviceNews['kind'], Used | null>>,
): DeviceNews[] {
  const real = (list: readonly Listed[]): Listed[] =>
    list.filter(({ deviceId }) => !ALIASES.includes(deviceId));
  const lacks = (list: readonly Listed[], { deviceId, kind }: Listed): boolean =>
    !list.some((other) => other.deviceId === deviceId && other.kind === kind);
  const isUsed = (device: Listed): boolean => {
    const own = used[KINDS[device.kind]];
    if (own === null) return false;
    if (own.deviceId !== null && !ALIASES.includes(own.deviceId)) return own.deviceId === device.deviceId;
    return device.label !== '' && own.label.endsWith(device.label);
  };
  const tell =
    (what: DeviceNews['what']) =>
    (device: Listed): DeviceNews => ({
      kind: KINDS[device.kind],
      what,
      deviceId: device.deviceId,
      name: device.label,
    });
  const lost = real(before).filter((device) => lacks(after, device) && isUsed(device));
  // Before anything was allowed devices have no names and no ids: then all of them are "new".
  const knew = real(before).length > 0;
  const came = knew ? real(after).filter((device) => device.label !== '' && lacks(before, device)) : [];
  return [...lost.map(tell('lost')), ...came.map(tell('came'))];
}
