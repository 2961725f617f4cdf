// Generated from openapi.json by `npm run generate`. Do not edit.
export interface paths {
    "/api/v1/catalogue": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["catalogue"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/catalogue/{app}/poster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["poster"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/node": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["node"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["list"];
        put?: never;
        post: operations["create"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: operations["show"];
        put?: never;
        post?: never;
        delete: operations["end"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/whep": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: operations["offer"];
        delete?: never;
        options: operations["options"];
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/whep/{connection}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete: operations["close"];
        options?: never;
        head?: never;
        patch: operations["trickle"];
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description What can be played. */
        Catalogue: {
            entries: components["schemas"]["CatalogueEntry"][];
        };
        /** @description One thing that can be played. */
        CatalogueEntry: {
            controls: components["schemas"]["ControlHint"][];
            id: string;
            kind: components["schemas"]["EntryKind"];
            poster_url?: string | null;
            summary: string;
            title: string;
            unavailable?: string | null;
        };
        /** @description What the client says on the control channel. */
        ClientMessage: {
            /** Format: int64 */
            client_us: number;
            /** Format: int32 */
            id: number;
            /** @enum {string} */
            type: "pong";
        } | {
            frames: components["schemas"]["FrameReport"][];
            /** @enum {string} */
            type: "frames";
        } | {
            /** @enum {string} */
            type: "visibility";
            visible: boolean;
        } | {
            /** @enum {string} */
            type: "bye";
        };
        /** @description A line of help. */
        ControlHint: {
            action: string;
            input: string;
        };
        /** @description One row of the encoder table. */
        EncoderReport: {
            chosen: boolean;
            codec: string;
            name: string;
            verdict: string;
        };
        /**
         * @description What an entry is.
         * @enum {string}
         */
        EntryKind: "scene" | "synthetic";
        /** @description What the client saw of one frame. */
        FrameReport: {
            /** Format: int64 */
            decoded_us: number;
            /** Format: int64 */
            presented_us: number;
            /** Format: int32 */
            rtp: number;
        };
        /** @description A STUN or TURN server as `RTCIceServer` wants it. */
        IceServer: {
            credential?: string | null;
            urls: string[];
            username?: string | null;
        };
        /** @description Asks for a session. */
        NewSession: {
            app: string;
            barcode?: boolean;
            video?: components["schemas"]["VideoWish"];
        };
        /** @description What the node is and can do. */
        Node: {
            device: string;
            encoders: components["schemas"]["EncoderReport"][];
            open: boolean;
            version: string;
        };
        /** @description Milliseconds. */
        Percentiles: {
            /** Format: double */
            p50: number;
            /** Format: double */
            p95: number;
            /** Format: double */
            p99: number;
        };
        /** @description An error (RFC 9457), `application/problem+json`. */
        Problem: {
            detail?: string | null;
            /** Format: int32 */
            status: number;
            title: string;
            type: string;
        };
        /** @description What the server says on the control channel. */
        ServerMessage: {
            declined: string[];
            device: string;
            encoder: string;
            session: string;
            /** @enum {string} */
            type: "hello";
            video: components["schemas"]["Video"];
        } | {
            /** Format: int32 */
            id: number;
            /** @enum {string} */
            type: "ping";
        } | (components["schemas"]["Stats"] & {
            /** @enum {string} */
            type: "stats";
        }) | {
            /** Format: int64 */
            in_ms: number;
            reason: string;
            /** @enum {string} */
            type: "warning";
        } | {
            reason: string;
            /** @enum {string} */
            type: "ended";
        };
        /** @description A session. */
        Session: {
            app: string;
            ice_servers: components["schemas"]["IceServer"][];
            id: string;
            reason?: string | null;
            state: components["schemas"]["SessionState"];
            token?: string | null;
            url: string;
            video: components["schemas"]["Video"];
            whep_url: string;
        };
        /**
         * @description Where a session is in its life.
         * @enum {string}
         */
        SessionState: "requested" | "admitted" | "starting" | "live" | "suspended" | "ending" | "ended";
        /** @description One stage of the latency ledger. */
        StageStat: {
            ms: components["schemas"]["Percentiles"];
            stage: string;
        };
        /** @description How a session goes, over the last second. */
        Stats: {
            /** Format: double */
            clock_error_ms?: number | null;
            coded: number[];
            /** Format: int64 */
            dropped: number;
            /** Format: double */
            fps: number;
            internal: number[];
            /** Format: int32 */
            kbps: number;
            /** Format: int64 */
            keyframes: number;
            /** Format: double */
            rtt_ms?: number | null;
            stages: components["schemas"]["StageStat"][];
            /** Format: int32 */
            target_kbps: number;
            total?: null | components["schemas"]["Percentiles"];
            /** Format: int64 */
            unchanged: number;
        };
        /** @description The picture that a session has. */
        Video: {
            /** Format: int32 */
            fps: number;
            /** Format: int32 */
            height: number;
            /** Format: int32 */
            max_kbps: number;
            /** Format: int32 */
            width: number;
        };
        /** @description Wishes for the picture; what the node grants stands in `Session.video`. */
        VideoWish: {
            /** Format: int32 */
            fps?: number | null;
            /** Format: int32 */
            height?: number | null;
            /** Format: int32 */
            max_kbps?: number | null;
            /** Format: int32 */
            width?: number | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    catalogue: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Catalogue"];
                };
            };
        };
    };
    poster: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                app: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "image/jpeg": string;
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    node: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Node"];
                };
            };
        };
    };
    list: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"][];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewSession"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    end: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            410: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    offer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/sdp": string;
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/sdp": string;
                };
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            406: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            410: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    options: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    close: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                connection: string;
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            410: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            412: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    trickle: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                connection: string;
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/trickle-ice-sdpfrag": string;
            };
        };
        responses: {
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            410: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            412: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
