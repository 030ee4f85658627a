/** React hooks and parts for pages on the Madang SDK: what belongs to no page and says no words. */

export { useMedia, useNow } from './environment.js';
export { createInstanceContext, type Instance, type InstanceContext } from './instance.js';
export { Sound, useFullscreen, useTracks } from './media.js';
