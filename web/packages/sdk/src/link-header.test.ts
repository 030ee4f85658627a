import { describe, expect, it } from 'vitest';
import { EVENTS_REL, headerLinks, iceServersOfLinks, LAYER_REL, linkTarget } from './link-header.js';

const HEADER =
  '<stun:s.example:3478>; rel="ice-server", ' +
  '<turn:t.example?transport=udp>; rel="ice-server"; username="1:u"; credential="a,b;c"; credential-type="password", ' +
  '<https://example.org/>; rel="next", ' +
  `</whep/7/abc/layer>; rel="${LAYER_REL}"`;

describe('Link headers', () => {
  it('give ICE servers and leave out other links', () => {
    expect(iceServersOfLinks(headerLinks(HEADER))).toEqual([
      { urls: ['stun:s.example:3478'] },
      { urls: ['turn:t.example?transport=udp'], username: '1:u', credential: 'a,b;c' },
    ]);
    expect(iceServersOfLinks(headerLinks(null))).toEqual([]);
  });

  it('give the target of a relation, absolute', () => {
    const links = headerLinks(HEADER);
    expect(linkTarget(links, LAYER_REL, 'https://sfu.example/whep/7')).toBe(
      'https://sfu.example/whep/7/abc/layer',
    );
    expect(linkTarget(links, EVENTS_REL, 'https://sfu.example/whep/7')).toBeNull();
    expect(linkTarget(headerLinks('<http://[>; rel=next'), 'next', 'https://a.example')).toBeNull();
  });
});
