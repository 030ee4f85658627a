/** The whiteboard of Madang. */

export type * from './types.js';
