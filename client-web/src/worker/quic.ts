// The worker of one WebTransport connection (quic/connection.ts on the page).
import type { ToLink } from '../quic/messages.ts';
import { QuicLink } from './quic-link.ts';

declare const self: DedicatedWorkerGlobalScope;

const link = new QuicLink((message) => { self.postMessage(message); }, () => { self.close(); });
self.onmessage = ({ data }: MessageEvent<ToLink>): void => { link.take(data); };
