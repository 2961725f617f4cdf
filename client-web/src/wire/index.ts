// Names for the generated types. What is not here is not spoken.
import type { components } from './api.gen.ts';

type Schemas = components['schemas'];

export type Catalogue = Schemas['Catalogue'];
export type CatalogueEntry = Schemas['CatalogueEntry'];
export type NewSession = Schemas['NewSession'];
export type VideoWish = Schemas['VideoWish'];
export type Quality = Schemas['Quality'];
export type StartStep = Schemas['StartStep'];
export type View = Schemas['View'];
export type Session = Schemas['Session'];
export type Save = Schemas['Save'];
export type Saves = Schemas['Saves'];
export type SaveResult = Schemas['SaveResult'];
export type SessionSaves = Schemas['SessionSaves'];
export type Role = Schemas['Role'];
export type InvitedRole = Schemas['InvitedRole'];
export type Invitation = Schemas['Invitation'];
export type Viewers = Schemas['Viewers'];
export type NodeReport = Schemas['Node'];
export type Problem = Schemas['Problem'];
export type ServerMessage = Schemas['ServerMessage'];
export type ClientMessage = Schemas['ClientMessage'];
export type Hello = Extract<ServerMessage, { type: 'hello' }>;
export type Cursor = Schemas['Cursor'];
export type PointerPlace = Schemas['Pointer'];
export type CursorLook = Schemas['CursorLook'];
export type MicrophoneAccess = Schemas['MicrophoneAccess'];
export type MicrophoneStats = Schemas['MicrophoneStats'];
export type AudioStats = Schemas['AudioStats'];
export type Rumble = Extract<ServerMessage, { type: 'rumble' }>;
export type PadEffects = Schemas['PadEffects'];
export type Stats = Schemas['Stats'];
export type StageStat = Schemas['StageStat'];
export type FrameReport = Schemas['FrameReport'];
