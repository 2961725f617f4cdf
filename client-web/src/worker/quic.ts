// The worker of one connection that brings frames whole (quic/connection.ts on the page).
import type { ToLink } from '../quic/messages.ts';
import { FrameLink } from './frame-link.ts';

declare const self: DedicatedWorkerGlobalScope;

const link = new FrameLink((message) => { self.postMessage(message); }, () => { self.close(); });
self.onmessage = ({ data }: MessageEvent<ToLink>): void => { link.take(data); };
