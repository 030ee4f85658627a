import { create } from 'zustand';
import { MetaApi, signalingUrl } from '../../sdk';

/** What the server tells its pages. */
export interface ServerConfig {
  dev: boolean;
  signaling_url: string;
  version: string;
}

const DEFAULTS: ServerConfig = { dev: false, signaling_url: '', version: '' };

/** The meta service of this origin. */
export const api = new MetaApi();

/** `/config.json`; null until it is there. */
export const useServer = create<{ config: ServerConfig | null }>(() => ({ config: null }));

const loaded: Promise<ServerConfig> = fetch('/config.json')
  .then(async (response) => (response.ok ? ((await response.json()) as Partial<ServerConfig>) : {}))
  .catch(() => ({}))
  .then((config) => ({ ...DEFAULTS, ...config }));

/** The configuration, once loaded; defaults if the server has none. */
export async function serverConfig(): Promise<ServerConfig> {
  const config = await loaded;
  if (useServer.getState().config === null) useServer.setState({ config });
  return config;
}

/** The URL of signaling. */
export async function signalingEndpoint(): Promise<string> {
  return signalingUrl((await serverConfig()).signaling_url);
}
