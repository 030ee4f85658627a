import { create } from 'zustand';
import { MetaApi, signalingUrl } from '@madang/sdk';

/** What the server tells its pages. */
export interface ServerConfig {
  dev: boolean;
  signaling_url: string;
  sfu_url: string;
  version: string;
  /** Where others in the network reach this server if the page is at `localhost`; empty where nobody knows. */
  lan_url: string;
}

const DEFAULTS: ServerConfig = { dev: false, signaling_url: '', sfu_url: '', version: '', lan_url: '' };

/** The meta service of this origin. */
export const api = new MetaApi();

/** What the server says, in the page itself or in `/config.json`; null until it is there. */
export const useServer = create<{ config: ServerConfig | null }>(() => ({ config: writtenConfig() }));

let loaded: Promise<ServerConfig> | null = null;

/** The configuration, loaded once; defaults if the server has none. */
export function serverConfig(): Promise<ServerConfig> {
  loaded ??= loadConfig();
  return loaded;
}

async function loadConfig(): Promise<ServerConfig> {
  const { config: told } = useServer.getState();
  if (told !== null) return told;
  const response = await fetch('/config.json').catch(() => null);
  const answer = response?.ok ? ((await response.json().catch(() => ({}))) as Partial<ServerConfig>) : {};
  const config = { ...DEFAULTS, ...answer };
  useServer.setState({ config });
  return config;
}

/** What the server has written into the page itself; null where it comes from a server that does not. */
function writtenConfig(): ServerConfig | null {
  const text = document.querySelector<HTMLMetaElement>('meta[name="madang"]')?.content ?? '';
  if (text === '') return null;
  try {
    return { ...DEFAULTS, ...(JSON.parse(text) as Partial<ServerConfig>) };
  } catch {
    return null;
  }
}

/** Whether only this computer reaches what has this host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || host.startsWith('127.');
}

/** `url` as others can open it, where it is one of this computer only and the server knows another. */
export function othersUrl(url: string): string {
  if (!URL.canParse(url)) return url;
  const { hostname, pathname } = new URL(url);
  return isLoopback(hostname) && isLoopback(location.hostname) ? pageUrl(pathname) : url;
}

/** The URL of a path of this site that others can open, as far as the server knows one. */
export function pageUrl(path: string): string {
  const lan = useServer.getState().config?.lan_url ?? '';
  return (lan !== '' && isLoopback(location.hostname) ? lan : location.origin) + path;
}

/** The WHEP URL of a broadcast. */
export async function playEndpoint(id: number): Promise<string> {
  return `${(await serverConfig()).sfu_url}/whep/${id}`;
}

/** The URL of signaling. */
export async function signalingEndpoint(): Promise<string> {
  return signalingUrl((await serverConfig()).signaling_url);
}
