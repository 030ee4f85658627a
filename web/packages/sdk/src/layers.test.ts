import { describe, expect, it } from 'vitest';
import {
  chosenHeight,
  heightsOf,
  hasForeignCodec,
  isLineTooSlow,
  isSent,
  parseLayers,
  parseWanted,
  requestOf,
} from './layers.js';

const layers = parseLayers({
  media: [
    {
      mediaId: '2',
      source: 'screen',
      paused: false,
      wanted: {},
      current: null,
      encodings: [{ active: true, width: 1920, height: 1080, bitrate: 900_000 }],
    },
    {
      mediaId: '1',
      source: 'camera',
      paused: false,
      wanted: { maxHeight: 480 },
      current: { encodingId: 'h', temporalLayerId: 1 },
      encodings: [
        { encodingId: 'q', active: true, width: 424, height: 240, bitrate: 200_000 },
        { encodingId: 'h', active: true, width: 848, height: 480, bitrate: 700_000 },
        { encodingId: 'f', active: false, bitrate: 0 },
      ],
    },
    { source: 'camera' },
    7,
  ],
});

describe('layers', () => {
  it('are read, and what is malformed is left out', () => {
    expect(layers.media.map(({ mediaId }) => mediaId)).toEqual(['2', '1']);
    for (const bad of [null, 7, {}, { media: {} }, { media: [null] }])
      expect(parseLayers(bad)).toEqual({ media: [] });
  });

  it('say what is in the way of a picture, and whether one is sent at all', () => {
    const media = { mediaId: '1', source: 'camera', paused: false, wanted: {}, current: null };
    const of = (more: object): ReturnType<typeof parseLayers> =>
      parseLayers({ media: [{ ...media, ...more }] });
    expect(isLineTooSlow(of({ obstacle: 'line' }))).toBe(true);
    expect(isLineTooSlow(of({ obstacle: 'line', paused: true }))).toBe(false);
    expect([isLineTooSlow(of({ obstacle: 'codec' })), isLineTooSlow(of({ obstacle: 7 }))]).toEqual([
      false,
      false,
    ]);
    expect([hasForeignCodec(of({ obstacle: 'codec' })), hasForeignCodec(of({ obstacle: 'line' }))]).toEqual([
      true,
      false,
    ]);
    const active = [{ active: true, bitrate: 1 }];
    expect(isSent(of({ encodings: active }), 'camera')).toBe(true);
    expect(isSent(of({ encodings: active, obstacle: 'codec' }), 'camera'), 'nothing of it comes').toBe(false);
    expect([isLineTooSlow(layers), isLineTooSlow(null), isSent(null, 'camera')]).toEqual([
      false,
      false,
      false,
    ]);
    expect([isSent(layers, 'camera'), isSent(layers, 'microphone')]).toEqual([true, false]);
    expect(isSent(of({ encodings: [{ active: false, bitrate: 0 }] }), 'camera')).toBe(false);
  });

  it('give the heights that are known, of the camera before the screen', () => {
    expect(heightsOf(layers)).toEqual([480, 240]);
    expect(heightsOf({ media: layers.media.slice(0, 1) })).toEqual([1080]);
    expect(heightsOf(null)).toEqual([]);
  });

  it('turn a choice into the nearest height and a request', () => {
    expect(chosenHeight(720, [720, 480, 240])).toBe(720);
    expect(chosenHeight(720, [480, 240])).toBe(480);
    expect(chosenHeight(120, [480, 240])).toBe(240);
    expect(chosenHeight('auto', [480])).toBeNull();
    expect(requestOf('auto')).toEqual({ paused: false });
    expect(requestOf('audio')).toEqual({ paused: true });
    expect(requestOf(480)).toEqual({ paused: false, maxHeight: 480 });
  });

  it('name an upright picture by its shorter side', () => {
    const phone = parseLayers({
      media: [
        {
          mediaId: '1',
          source: 'camera',
          encodings: [
            { encodingId: 'h', active: true, width: 480, height: 853, bitrate: 1 },
            { encodingId: 'f', active: true, width: 720, height: 1280, bitrate: 1 },
          ],
        },
      ],
    });
    expect(heightsOf(phone)).toEqual([720, 480]);
  });
});

describe('wanted encodings', () => {
  it('are read by m-line and rid', () => {
    const data =
      '{"media":[{"mediaId":"1","encodings":[{"encodingId":"f","wanted":false},{"encodingId":"q","wanted":true}]}]}';
    const wanted = parseWanted(data)?.get('1');
    expect([...(wanted ?? [])]).toEqual([
      ['f', false],
      ['q', true],
    ]);
    expect(parseWanted('{')).toBeNull();
    expect(parseWanted('[]')).toBeNull();
    expect(parseWanted('{"media":[null]}')?.size).toBe(0);
  });
});
