import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What others get of the packages: packed as for a registry, unpacked beside a small project that uses them. */

const web = resolve(import.meta.dirname, '..');
const packages = ['sdk', 'react'] as const;
/** What the packages depend on comes from the workspaces' own folder. */
const dependencies = ['@stomp', '@types', 'csstype', 'react', 'zustand'];
const project = mkdtempSync(join(tmpdir(), 'madang-published-'));

interface Packed {
  name: string;
  filename: string;
  files: { path: string }[];
}

interface Manifest {
  exports: Record<string, Record<string, string> | string>;
  dependencies?: Record<string, string>;
}

let packed: Packed[] = [];

/** What the program printed. Its output is part of the failure if it fails. */
function run(program: string, arguments_: string[], cwd: string): string {
  try {
    return execFileSync(program, arguments_, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${program} ${arguments_.join(' ')}\n${stdout}\n${stderr}`, { cause: error });
  }
}

function folder(name: string): string {
  return join(project, 'node_modules', name);
}

function manifest(name: string): Manifest {
  return JSON.parse(readFileSync(join(folder(name), 'package.json'), 'utf8')) as Manifest;
}

beforeAll(() => {
  packed = packages.flatMap((name) => {
    const answer = run('npm', ['pack', '--json', '--pack-destination', project], join(web, 'packages', name));
    // What the build prints comes first.
    return JSON.parse(answer.slice(answer.indexOf('[\n'))) as Packed[];
  });
  for (const { name, filename } of packed) {
    mkdirSync(folder(name), { recursive: true });
    run('tar', ['-xzf', join(project, filename), '--strip-components=1', '-C', folder(name)], project);
  }
  for (const name of dependencies) symlinkSync(join(web, 'node_modules', name), folder(name));
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(project, 'page.tsx'),
    `import { RoomProvider, Tile, type TileWords, TrackSound, usePeople, useTiles, useTracks } from '@madang/react';
import { type Broadcast, joinRoom, MetaApi, type PlayerOptions, type Room, WhepPlayer } from '@madang/sdk';

export const api: MetaApi = new MetaApi('');
export const name = async (id: number): Promise<string> => ((await api.get(id)) satisfies Broadcast).name;
export const play = (options: PlayerOptions): WhepPlayer => new WhepPlayer(options);
export function Picture({ track }: { track: MediaStreamTrack }) {
  const video = useTracks<HTMLVideoElement>(track);
  return (
    <>
      <video ref={video} />
      <TrackSound track={null} muted volume={1} allowed={0} onBlocked={() => undefined} />
    </>
  );
}
export const join = (token: string): Promise<Room> => joinRoom('', token, { mic: true });
export function Call({ room, words }: { room: Room; words: TileWords }) {
  return (
    <RoomProvider value={room}>
      <Grid words={words} />
    </RoomProvider>
  );
}
function Grid({ words }: { words: TileWords }) {
  const { tiles } = useTiles({ page: 0, size: usePeople((people) => people.size) });
  return tiles.map(({ key, ...tile }) => <Tile key={key} {...tile} words={words} />);
}
// @ts-expect-error: an id is a number, so the declarations are there and are no 'any'.
void api.get('7');
`,
  );
}, 600_000);

afterAll(() => rmSync(project, { recursive: true, force: true }));

describe('the published packages', () => {
  it('hold what was built, and neither sources nor tests', () => {
    for (const { name, files } of packed) {
      const paths = files.map(({ path }) => path);
      expect(paths, name).toContain('dist/index.js');
      expect(paths, name).toContain('dist/index.d.ts');
      const others = paths.filter((path) => !/^dist\/([\w-]+\/)*[\w-]+(\.d\.ts|\.js)$/.test(path));
      expect(others.sort(), name).toEqual(['README.md', 'package.json']);
    }
  });

  it('export what is there, and depend on nothing that is not published', () => {
    for (const { name } of packed) {
      const { exports, dependencies: needed = {} } = manifest(name);
      for (const target of Object.values(exports).flatMap((entry) => targets(entry))) {
        expect(existsSync(join(folder(name), target)), `${name} ${target}`).toBe(true);
      }
      for (const dependency of Object.keys(needed))
        expect(existsSync(folder(dependency)), dependency).toBe(true);
    }
  });

  it.each(['nodenext', 'bundler'])(
    'have types, resolved as %s',
    (resolution) => {
      const module = resolution === 'bundler' ? 'esnext' : resolution;
      const options = ['--noEmit', '--strict', '--jsx', 'react-jsx', '--target', 'es2022'];
      const libs = ['--lib', 'es2023,dom,dom.iterable'];
      const resolved = ['--module', module, '--moduleResolution', resolution];
      run(join(web, 'node_modules/.bin/tsc'), [...options, ...libs, ...resolved, 'page.tsx'], project);
    },
    600_000,
  );

  it('load as modules, without a bundler', () => {
    const script = `
      const [sdk, react] = await Promise.all([import('@madang/sdk'), import('@madang/react')]);
      console.log(typeof sdk.WhepPlayer, typeof react.useTracks);
    `;
    expect(run(process.execPath, ['--input-type=module', '--eval', script], project).trim()).toBe(
      'function function',
    );
  }, 60_000);
});

/** The files that an entry of `exports` names, but for the condition of the workspaces themselves. */
function targets(entry: Record<string, string> | string): string[] {
  if (typeof entry === 'string') return [entry];
  return Object.entries(entry).flatMap(([condition, target]) =>
    condition === '@madang/source' ? [] : [target],
  );
}
