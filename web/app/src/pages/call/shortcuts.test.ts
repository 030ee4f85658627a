import { describe, expect, it } from 'vitest';
import { KEYS, type Pressed, PushToTalk, shortcutOf } from './shortcuts';

function pressed(code: string, more: Partial<Pressed> = {}): Pressed {
  const none = { repeat: false, ctrlKey: false, metaKey: false, altKey: false, target: document.body };
  return { code, key: code.replace('Key', '').toLowerCase(), ...none, ...more };
}

function inside(html: string, selector: string): Element {
  const holder = document.createElement('div');
  holder.innerHTML = html;
  const found = holder.querySelector(selector);
  if (found === null) throw new Error(selector);
  return found;
}

describe('shortcuts', () => {
  it('go by the place of a key, whatever the language types there', () => {
    expect(shortcutOf(pressed('KeyM', { key: 'ㅡ' }))).toBe('microphone');
    expect(new Set(KEYS.map(({ code }) => code)).size).toBe(KEYS.length);
    for (const { code, shortcut } of KEYS) expect(shortcutOf(pressed(code))).toBe(shortcut);
    expect(shortcutOf(pressed('Slash', { key: '?' }))).toBe('help');
    expect(shortcutOf(pressed('KeyX'))).toBeNull();
  });

  it('leave what is typed, and what the browser or a menu takes, alone', () => {
    for (const html of [
      '<input>',
      '<textarea></textarea>',
      '<p contenteditable="true"></p>',
      '<select></select>',
    ])
      for (const code of ['KeyM', 'Space', 'ArrowLeft', 'Escape'])
        expect(shortcutOf(pressed(code, { target: inside(html, '*') })), html + code).toBeNull();
    expect(shortcutOf(pressed('KeyC', { ctrlKey: true }))).toBeNull();
    expect(shortcutOf(pressed('KeyM', { metaKey: true }))).toBeNull();
    const item = inside('<div role="menu"><button>a</button></div>', 'button');
    expect(shortcutOf(pressed('ArrowRight', { target: item }))).toBeNull();
    expect(shortcutOf(pressed('Escape', { target: item }))).toBeNull();
    expect(shortcutOf(pressed('Space', { target: inside('<button>a</button>', 'button') }))).toBeNull();
    expect(shortcutOf(pressed('KeyM', { target: inside('<button>a</button>', 'button') }))).toBe(
      'microphone',
    );
  });

  it('do a thing once however long a key is held, but turn pages', () => {
    expect(shortcutOf(pressed('KeyM', { repeat: true }))).toBeNull();
    expect(shortcutOf(pressed('ArrowRight', { repeat: true }))).toBe('next');
    expect(shortcutOf(pressed('Space', { repeat: true }))).toBe('talk');
  });
});

describe('push to talk', () => {
  it('switches on once and off once, in any order of keys and losses of focus', () => {
    const talk = new PushToTalk();
    expect(talk.end()).toBeNull();
    expect([talk.press(false), talk.press(false), talk.press(true)]).toEqual(['on', null, null]);
    expect([talk.end(), talk.end()]).toEqual(['off', null]);
  });

  it('leaves a microphone on that was on, or that was decided on meanwhile', () => {
    const talk = new PushToTalk();
    expect([talk.press(true), talk.end()]).toEqual([null, null]);
    talk.press(false);
    talk.forget();
    expect(talk.end()).toBeNull();
  });
});
