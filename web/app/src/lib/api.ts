import { create } from 'zustand';
import { MetaApi, signalingUrl } from '@madang/sdk';

/** What the server tells its pages. */
export interface ServerConfig {
  dev: boolean;
  signaling_url: string;
  sfu_url: string;
  version: string;
}

const DEFAULTS: ServerConfig = { dev: false, signaling_url: '', sfu_url: '', version: '' };

/** The meta service of this origin. */
export const api = new MetaApi();

/** `/config.json`; null until it is there. */
export const useServer = create<{ config: ServerConfig | null }>(() => ({ config: null }));

let loaded: Promise<ServerConfig> | null = null;

/** The configuration, loaded once; defaults if the server has none. */
export function serverConfig(): Promise<ServerConfig> {
  loaded ??= loadConfig();
  return loaded;
}

async function loadConfig(): Promise<ServerConfig> {
  const response = await fetch('/config.json').catch(() => null);
  const answer = response?.ok ? ((await response.json().catch(() => ({}))) as Partial<ServerConfig>) : {};
  const config = { ...DEFAULTS, ...answer };
  useServer.setState({ config });
  return config;
}

/** The WHEP URL of a broadcast. */
export async function playEndpoint(id: number): Promise<string> {
  return `${(await serverConfig()).sfu_url}/whep/${id}`;
}

/** The URL of signaling. */
export async function signalingEndpoint(): Promise<string> {
  return signalingUrl((await serverConfig()).signaling_url);
}
