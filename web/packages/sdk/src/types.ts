/** Bodies of the REST and STOMP interfaces, as the services' code describes them, and names for parts of them. */

export * from './contract.js';
