import { afterEach, describe, expect, it } from 'vitest';
import { playerKey, PLAYER_KEYS, type Pressed } from './keys';

function pressed(code: string, change: Partial<Pressed> = {}): Pressed {
  const held = { repeat: false, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false };
  return { code, key: '', target: document.body, ...held, ...change };
}

/** Something on the page that has the focus. */
function focused(html: string): Element {
  document.body.innerHTML = html;
  const element = document.body.querySelector('.focus');
  if (element === null) throw new Error('nothing has the focus');
  return element;
}

afterEach(() => {
  document.body.innerHTML = '';
});

describe('keys of the player', () => {
  it('are letters by their place, whatever language the keyboard writes', () => {
    expect(playerKey(pressed('KeyK', { key: 'ㅏ' }))).toBe('play');
    expect(playerKey(pressed('KeyF', { key: 'ㄹ' }))).toBe('fullscreen');
    expect(playerKey(pressed('Slash', { key: '?', shiftKey: true }))).toBe('help');
    expect(playerKey(pressed('KeyX', { key: 'x' }))).toBeNull();
  });

  it('leave what is written alone, and what a button, a menu or a dialog takes', () => {
    const fields = [
      '<input class="focus">',
      '<input type="search" class="focus">',
      '<textarea class="focus"></textarea>',
      '<select class="focus"></select>',
      '<div contenteditable><b class="focus">a</b></div>',
      '<div role="menu"><button class="focus">a</button></div>',
      '<dialog open><button class="focus">a</button></dialog>',
    ];
    for (const html of fields) {
      const target = focused(html);
      for (const { codes } of PLAYER_KEYS)
        for (const code of codes) expect(playerKey(pressed(code, { target })), `${html} ${code}`).toBeNull();
      expect(playerKey(pressed('Slash', { key: '?', target }))).toBeNull();
    }
    const button = focused('<button class="focus">a</button>');
    expect(playerKey(pressed('Space', { target: button }))).toBeNull();
    expect(playerKey(pressed('KeyK', { target: button }))).toBe('play');
    const slider = focused('<input type="range" class="focus">');
    expect(playerKey(pressed('ArrowUp', { target: slider }))).toBeNull();
    expect(playerKey(pressed('KeyM', { target: slider }))).toBe('mute');
    const chat = focused('<div role="log" tabindex="0" class="focus"></div>');
    expect(playerKey(pressed('ArrowDown', { target: chat }))).toBeNull();
  });

  it('with a modifier are the browser’s, and held ones do it once but for the volume', () => {
    for (const change of [{ ctrlKey: true }, { metaKey: true }, { altKey: true }, { shiftKey: true }])
      expect(playerKey(pressed('KeyF', change))).toBeNull();
    expect(playerKey(pressed('KeyK', { repeat: true }))).toBeNull();
    expect(playerKey(pressed('ArrowUp', { repeat: true }))).toBe('louder');
  });
});
