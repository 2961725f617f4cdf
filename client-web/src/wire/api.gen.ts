// Generated from openapi.json by `npm run generate`. Do not edit.
export interface paths {
    "/api/v1/catalogue": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What can be played. */
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
        /** A still picture of one entry. */
        get: operations["poster"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/catalogue/{app}/saves": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What a player keeps of a game, the newest first. */
        get: operations["list_saves"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/catalogue/{app}/saves/{save}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A version's files as a tar archive, with folders and names as in the game's home. It is checked before it is sent. */
        get: operations["download_save"];
        put?: never;
        post?: never;
        /** Deletes a version. */
        delete: operations["delete_save"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/catalogue/{app}/saves/{save}/pin": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /** Keeps a version however many newer ones come. As many as may be kept so are few. */
        put: operations["pin_save"];
        post?: never;
        /** Lets a version go with the others again. */
        delete: operations["unpin_save"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/catalogue/{app}/saves/{save}/restore": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Makes a version the newest again, with which the next session of the player begins; those after it are kept.
         *     Refused while a session of the player plays the game: what that saves at its end would be newer still.
         */
        post: operations["restore_save"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/join": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Joins a session by an invitation. The answer is that of a session, with addresses and a token of the
         *     viewer's own; `role` says what it may do.
         */
        post: operations["join"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How the machine's orders stand, as the chain was last seen to say. */
        get: operations["show_lease"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/accounts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What was paid for each order on the chain, used of it by receipts, and is left; also of orders that are over. For operators. */
        get: operations["list_accounts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/bearers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Takes a challenge that the renter signed for a bearer of the order. */
        post: operations["prove_renter"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/challenges": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Asks for a text that an order's renter signs, to be believed once. */
        post: operations["challenge_renter"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/entries": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The ledger's accounts in double entry, the oldest first: at most 1,000 entries, and none once all were told. For operators. */
        get: operations["list_entries"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/receipts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The receipts of the bearer's order, one entry for each session and trial; of all orders for an operator, of one session
         *     for who has its `receipts_token`.
         */
        get: operations["list_receipts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/receipts/{receipts}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The receipts of one session as a file: JSON to be verified, or CSV. */
        get: operations["export_receipts"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/receipts/{receipts}/acknowledgements": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Acknowledges a slice: for the last one, which is durable after its session's connection is gone. The signature says
         *     who asks.
         */
        post: operations["acknowledge_receipt"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The sessions of the bearer's order that have not ended. */
        get: operations["list_leased_sessions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/sessions/{id}/enter": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Enters a session of the bearer's order: as its player where the bearer is for playing, else as a spectator. */
        post: operations["enter_leased_session"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/tickets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The tickets of the bearer's order that were used or revoked. For the renter. */
        get: operations["list_tickets"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/tickets/{ticket}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Takes a ticket of the bearer's order back, whether or not it was used: durable when the answer comes, and whoever came
         *     by it is sent away. For the renter.
         */
        delete: operations["revoke_ticket"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/lease/tickets/redeem": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Takes a ticket for a bearer of its order. The body is the ticket's secret; the use counts once it is durable. */
        post: operations["redeem_ticket"];
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
        /** What the node is and can do. */
        get: operations["node"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/saves": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The games of which a player keeps something, also those that the catalogue has not any more: what is kept of those can be
         *     listed, downloaded and deleted as that of others, and played once they are back.
         */
        get: operations["list_saved_games"];
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
        /** All sessions that have not ended, oldest first. */
        get: operations["list"];
        put?: never;
        /**
         * Asks for a session. It starts at once; connect to its `whep_url` within the time that the node is
         *     configured to wait. On a rented node this needs a bearer of an order (`/api/v1/lease/bearers`,
         *     `/api/v1/lease/tickets/redeem`).
         */
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
        /** One session. */
        get: operations["show"];
        put?: never;
        post?: never;
        /** Ends a session; it has ended, and everything is freed, when the answer comes. */
        delete: operations["end"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/clipboard": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What was copied last in the session's game: text where there is any, else an image. The game is asked for it now. Of
         *     the player only. The control channel says `clipboard` when something new is there.
         */
        get: operations["read_clipboard"];
        /**
         * Puts text (`text/plain`, UTF-8) or an image (`image/png`) into the clipboard of the session's game, in place of what
         *     was there; it can be pasted when the answer comes. Of the player only.
         */
        put: operations["write_clipboard"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/files": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The files of the session's folder, by name. Of the player only, as all that follow. */
        get: operations["list_files"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/files/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A file, as it is now. */
        get: operations["download_file"];
        /**
         * Brings a file, in place of one of this name. The game sees it when all of it has come; nothing is left of one that
         *     is cut off.
         */
        put: operations["upload_file"];
        post?: never;
        /** Deletes a file. Needs the way to the game. */
        delete: operations["delete_file"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/invitations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The invitations of the session that let somebody in, oldest first. Their links are not told again. */
        get: operations["list_invitations"];
        put?: never;
        /**
         * Makes a link by which others join the session, each with a connection of its own. A session has at most 16
         *     that let somebody in.
         */
        post: operations["invite"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/invitations/{invitation}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Takes an invitation back. Those who came by it are disconnected, and told why, when the answer comes. */
        delete: operations["revoke"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/redeem": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Redeems the ticket of a `play_url`, or a `resume_ticket`, for a bearer token of the session. A ticket works once;
         *     a `resume_ticket` takes the place of the token that it came with.
         */
        post: operations["redeem"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/save": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Saves a session's game as it is now. The game stands still while it is read, and goes on. */
        post: operations["save_session"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/socket": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Plays a session by WebSocket (RFC 6455), at an address with a ticket. Clients append `&decodes=` with the codecs
         *     that they decode, by the names of RTP and with commas between, and `&decodes10=` with those that they decode in 10
         *     bits a sample. Whoever is served by another connection is served by this one from then on, unless both say that they
         *     are of one race (`&race=`, any number of 32 bits): the first of a race that is connected stays, and what comes after it
         *     is refused. What travels stands in the module `media::websocket`; a close with the code 4000 says why a client is not
         *     served.
         */
        get: operations["connect_socket"];
        put?: never;
        /**
         * A fresh address to connect to by WebSocket. It works once, for a short time; a session has the newest four of all
         *     transports.
         */
        post: operations["socket"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/transfers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What went between the session's game and its player's own machine by clipboard and files: the newest 256, the oldest
         *     of them first, without what was in them.
         */
        get: operations["list_transfers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/viewers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Those who joined the session and have not left, oldest first. */
        get: operations["viewers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{id}/webtransport": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * A fresh address to connect to by WebTransport, for a client that has used the one before or waited too
         *     long. A session has the newest four.
         */
        post: operations["webtransport"];
        delete?: never;
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
        /**
         * Takes an SDP offer and answers it. A client that tries several transports at once says with all of them that they are of
         *     one race: the first that is connected stays, and what comes after it is refused with 409.
         */
        post: operations["offer"];
        delete?: never;
        options?: never;
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
        /** Ends the connection and, since a plain WHEP player knows no other address, the session with it. */
        delete: operations["close"];
        options?: never;
        head?: never;
        /** Adds candidates of the client (RFC 8840). */
        patch: operations["trickle"];
        trace?: never;
    };
    "/api/v1/viewers/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** How a viewer stands. */
        get: operations["show_viewer"];
        put?: never;
        post?: never;
        /** Leaves the session, which goes on. */
        delete: operations["leave"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/viewers/{id}/socket": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The same for a viewer. */
        get: operations["connect_viewer_socket"];
        put?: never;
        /** The same for a viewer, which has the newest two. */
        post: operations["viewer_socket"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/viewers/{id}/webtransport": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** A fresh address to connect to by WebTransport. A viewer has the newest two. */
        post: operations["viewer_webtransport"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/viewers/{id}/whep": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Takes a viewer's SDP offer and answers it with the codec that the session is coded in. */
        post: operations["viewer_offer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/viewers/{id}/whep/{connection}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Ends the connection, and leaves the session, which goes on. */
        delete: operations["viewer_close"];
        options?: never;
        head?: never;
        /** Adds candidates of a viewer (RFC 8840). */
        patch: operations["viewer_trickle"];
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description Acknowledges a slice after its session. */
        Acknowledgement: {
            /**
             * Format: int32
             * @description The slice's number.
             */
            sequence: number;
            /** @description Of the session key; 128 hexadecimal digits. */
            signature: string;
        };
        /**
         * @description What a game may try in vain.
         * @enum {string}
         */
        AttemptKind: "mounts" | "namespaces" | "processes" | "keys" | "sockets" | "machine" | "network" | "files";
        /** @description What a game tried that its sandbox refuses: it was noticed, and came to nothing. */
        Attempts: {
            /**
             * Format: int64
             * @description How often.
             */
            count: number;
            /** @description What it tried. */
            what: components["schemas"]["AttemptKind"];
        };
        /** @description A session's sound. */
        AudioStats: {
            /**
             * Format: int32
             * @description Channels that this client is sent now: 2, 6 (5.1) or 8 (7.1).
             */
            channels: number;
            /** @description What codes it. */
            codec: string;
            /**
             * Format: int32
             * @description Percentage of loss that packets make up for by what they say of those before them.
             */
            expected_loss: number;
            /** @description Why there is no sound any more. */
            failed?: string | null;
            /**
             * Format: int32
             * @description Kilobits a second, over the last second.
             */
            kbps: number;
            /**
             * Format: int64
             * @description Packets that found the queue of somebody who listens full, in all.
             */
            refused: number;
            /** @description There is nothing to hear, and next to nothing is sent. */
            silent: boolean;
            /**
             * Format: int32
             * @description Kilobits a second that the encoder aims at.
             */
            target_kbps: number;
        };
        /** @description A token for an order. */
        Bearer: {
            /** @description Whether the order is confirmed. */
            confirmed: boolean;
            /**
             * Format: int64
             * @description It is good until then, in seconds since 1970 by the chain's clock; and as long as the order.
             */
            expires_at: number;
            /**
             * Format: int64
             * @description When that is expected, in milliseconds from now.
             */
            left_ms: number;
            /** @description The order. */
            order: string;
            /**
             * Format: int32
             * @description The block that ends the order.
             */
            over_block: number;
            /** @description Who holds it. */
            role: components["schemas"]["BearerRole"];
            /** @description What it is for: `view`, `play`, `start`, `stop` and `files`. */
            scopes: string[];
            /** @description Bearer token of the addresses below `/api/v1/lease`, and to start sessions with. */
            token: string;
            /**
             * Format: int64
             * @description How long it may be tried before, where it is not.
             */
            trial_ms?: number | null;
        };
        /** @description What is posted with a challenge. */
        BearerRequest: {
            /** @description The renter. */
            account: string;
            /** @description The order. */
            order: string;
        };
        /**
         * @description Who may use an order.
         * @enum {string}
         */
        BearerRole: "renter" | "guest";
        /** @description What can be played. */
        Catalogue: {
            /** @description Entries in the order in which they are shown. */
            entries: components["schemas"]["CatalogueEntry"][];
        };
        /** @description One thing that can be played. */
        CatalogueEntry: {
            /** @description How to play, one line each, such as `WASD` and `walk`. */
            controls: components["schemas"]["ControlHint"][];
            /** @description What kind of game it is, such as `puzzle`; absent of what is none. */
            genre?: string | null;
            /** @description What `POST /api/v1/sessions` takes as `app`. */
            id: string;
            /** @description What keys are to it, until the player chooses otherwise. */
            keyboard: components["schemas"]["KeyboardMode"];
            /** @description What it is. */
            kind: components["schemas"]["EntryKind"];
            /** @description For people: under which licences it may be hosted; absent where nobody says so. */
            licence?: string | null;
            /** @description It listens to its player's microphone, where the player and the node allow that. */
            microphone: boolean;
            /** @description Absolute address of a still picture. */
            poster_url?: string | null;
            /** @description The node keeps what a player saves in it. */
            saves: boolean;
            /** @description One or two sentences for people. */
            summary: string;
            /** @description For people. */
            title: string;
            /** @description Why it cannot be played now; absent when it can. */
            unavailable?: string | null;
        };
        /** @description A text to be signed, and the request that it is good for, once. */
        Challenge: {
            /**
             * @description Post exactly these bytes to `/api/v1/lease/bearers`, with the headers `nearlight-proof` (the text in base64) and
             *     `nearlight-signature` (hexadecimal digits), or `nearlight-multisig`.
             */
            body: string;
            /**
             * Format: int64
             * @description It is good until then, in seconds since 1970 by the chain's clock.
             */
            expires_at: number;
            /** @description What the wallet shows and signs. */
            text: string;
        };
        /** @description What the client says on the control channel. */
        ClientMessage: {
            /**
             * Format: int64
             * @description The client's clock, microseconds.
             */
            client_us: number;
            /**
             * Format: int32
             * @description Of the ping.
             */
            id: number;
            /** @enum {string} */
            type: "pong";
        } | {
            /** @description Reports. */
            frames: components["schemas"]["FrameReport"][];
            /** @enum {string} */
            type: "frames";
        } | {
            /** @enum {string} */
            type: "visibility";
            /** @description It can. */
            visible: boolean;
        } | (components["schemas"]["View"] & {
            /** @enum {string} */
            type: "view";
        }) | (components["schemas"]["Quality"] & {
            /** @enum {string} */
            type: "quality";
        }) | {
            /** @description It is. */
            pointer: boolean;
            /** @enum {string} */
            type: "follow";
        } | {
            /**
             * Format: int32
             * @description Channels.
             */
            channels: number;
            /** @enum {string} */
            type: "sound";
        } | {
            /** @enum {string} */
            type: "keyframe";
        } | {
            /** @description The transport. */
            kind: components["schemas"]["TransportKind"];
            /** @description For people; the first 200 characters are kept. */
            reason: string;
            /** @enum {string} */
            type: "transport";
        } | {
            /** @description Of the receipt. */
            chain: string;
            /**
             * Format: int32
             * @description Of the receipt.
             */
            sequence: number;
            /** @description Of the session key, over what `docs/receipts.md` says; 128 hexadecimal digits. */
            signature: string;
            /** @enum {string} */
            type: "acknowledge";
        } | {
            /** @enum {string} */
            type: "bye";
        };
        /** @description How a session's clipboard is shared. */
        ClipboardRules: {
            /** @description What is copied in the game may be had by the player. */
            from_game: boolean;
            /**
             * Format: int64
             * @description Most bytes of an image, which is a PNG.
             */
            image_bytes: number;
            /**
             * Format: int64
             * @description Most bytes of text, in UTF-8.
             */
            text_bytes: number;
            /** @description What the player copies elsewhere may be pasted in the game. */
            to_game: boolean;
        };
        /** @description A line of help. */
        ControlHint: {
            /** @description What it does. */
            action: string;
            /** @description The key or gesture. */
            input: string;
        };
        /** @description The pointer of what is played. */
        Cursor: {
            look?: components["schemas"]["CursorLook"] | null;
        };
        /** @description What a pointer looks like. */
        CursorLook: {
            /** @description The pixel of the PNG that points, from its left and upper edges. */
            hotspot: number[];
            /** @description A PNG of at most 24 kB, in base64. */
            png: string;
            /**
             * Format: int32
             * @description How much larger than the PNG it is to be shown, in pixels of the session's picture at its full size (`hello`).
             */
            scale: number;
            /** @description Pixels of the PNG, across and down: at most 128. */
            size: number[];
        };
        /** @description One row of the encoder table. */
        EncoderReport: {
            /** @description Whether such a session uses it. */
            chosen: boolean;
            /** @description Codec. */
            codec: string;
            /** @description Whether it runs on dedicated hardware. */
            hardware: boolean;
            /** @description Candidate. */
            name: string;
            /**
             * Format: int32
             * @description Microseconds that it takes for a million pixels of eight bits with the configured preset, measured on this
             *     machine; only where it works.
             */
            us_per_megapixel?: number | null;
            /**
             * Format: int32
             * @description The same for HDR10; only where it codes that.
             */
            us_per_megapixel_hdr?: number | null;
            /**
             * @description `ok`, or why it is not used, or is used although it does not keep up; for a session of the configured size and
             *     frame rate.
             */
            verdict: string;
        };
        /**
         * @description What an entry is.
         * @enum {string}
         */
        EntryKind: "scene" | "game" | "synthetic";
        /** @description How a session's files are shared. */
        FileRules: {
            /** @description The player may have files. */
            download: boolean;
            /**
             * Format: int64
             * @description Most bytes of a file.
             */
            file_bytes: number;
            /** @description Where the game finds them, below its home. */
            folder: string;
            /** @description The player may bring files, and delete them. */
            upload: boolean;
        };
        /** @description How often each step was taken for a session's pictures, in all. However many watch, it is once a frame. */
        FrameCounts: {
            /**
             * Format: int64
             * @description Pictures drawn or grabbed.
             */
            captured: number;
            /**
             * Format: int64
             * @description Pictures brought into the encoder's layout: where they are drawn, or after it where they come in RGB.
             */
            converted: number;
            /**
             * Format: int64
             * @description Units coded.
             */
            encoded: number;
            /**
             * Format: int64
             * @description Keyframes among them.
             */
            keyframes: number;
        };
        /** @description What the client saw of one frame. */
        FrameReport: {
            /**
             * Format: int64
             * @description When the decoder returned it, the client's clock, microseconds.
             */
            decoded_us: number;
            /**
             * Format: int64
             * @description When it was drawn, the client's clock, microseconds.
             */
            presented_us: number;
            /**
             * Format: int64
             * @description When it was whole in front of the decoder, the client's clock, microseconds; absent where the browser
             *     does not tell.
             */
            received_us?: number | null;
            /**
             * Format: int32
             * @description The frame's RTP timestamp.
             */
            rtp: number;
        };
        /** @description A STUN or TURN server as `RTCIceServer` wants it. */
        IceServer: {
            /** @description Password of TURN. */
            credential?: string | null;
            /** @description Addresses. */
            urls: string[];
            /** @description User name of TURN. */
            username?: string | null;
        };
        /** @description What a session makes of input beyond keys, buttons and the pointer. */
        InputTaken: {
            /** @description Why gamepads and pens are no devices of the kernel, where the game makes use of any. */
            no_devices?: string | null;
            /** @description Motion and touchpads of gamepads are taken. */
            pad_extras: boolean;
            /** @description Gamepads. */
            pads: components["schemas"]["PadsAs"];
            /** @description Pens. */
            pen: components["schemas"]["TakenAs"];
            /** @description The pointer's place is better than its motion, for which the mouse is captured, until the user chooses. */
            prefers_absolute: boolean;
            /** @description Keys are better text than places, until the user chooses. */
            prefers_text: boolean;
            /** @description Text is taken. */
            text: boolean;
            /** @description Fingers. */
            touch: components["schemas"]["TakenAs"];
        };
        /** @description A link that lets others join a session. */
        Invitation: {
            /**
             * Format: int64
             * @description When it stops to let anybody in, in milliseconds since 1970 UTC.
             */
            expires_at: number;
            /**
             * Format: int64
             * @description Names it within the node.
             */
            id: number;
            /** @description What it lets people do. */
            role: components["schemas"]["Role"];
            /** @description Absolute address of the page that joins by it. Only in the answer that made it: the node keeps a digest. */
            url?: string | null;
            /**
             * Format: int32
             * @description How many may still join by it; absent where that is not limited.
             */
            uses_left?: number | null;
            /**
             * Format: int32
             * @description How many joined by it and have not left.
             */
            viewers: number;
        };
        /**
         * @description A role that an invitation gives.
         * @enum {string}
         */
        InvitedRole: "co_player" | "spectator";
        /** @description What an invitation's link carries. */
        Join: {
            /** @description From the fragment of an invitation's `url`. */
            invitation: string;
        };
        /**
         * @description What keys are to what is played.
         * @enum {string}
         */
        KeyboardMode: "places" | "text";
        /** @description What the chain says of a rented node, as it was last seen. */
        Lease: {
            /**
             * Format: int32
             * @description The newest block; absent before anything was heard.
             */
            block?: number | null;
            cards?: components["schemas"]["LeaseCards"] | null;
            /** @description Whether heads come; else blocks are estimated. */
            connected: boolean;
            /** @description Whether the chain is one of development, where keys are taken that everybody knows. */
            development: boolean;
            /** @description Hash of the chain's block 0. */
            genesis: string;
            /** @description The machine: its public key. */
            machine: string;
            /** @description Its orders. */
            orders: components["schemas"]["LeaseOrder"][];
            /** @description The node as it stands in challenges and tickets. */
            origin: string;
            price?: components["schemas"]["LeasePrice"] | null;
            /**
             * Format: int64
             * @description The chain's time in milliseconds since 1970.
             */
            unix_ms?: number | null;
        };
        /** @description Graphics cards of a machine. */
        LeaseCards: {
            /**
             * Format: int32
             * @description All.
             */
            all: number;
            /**
             * Format: int32
             * @description Those that can be rented now; none while the machine is offline.
             */
            free: number;
        };
        /** @description An order of the machine. */
        LeaseOrder: {
            /** @description Its cards, by index. */
            cards: number[];
            /** @description Whether it is confirmed. */
            confirmed: boolean;
            /**
             * Format: int64
             * @description When that is expected, in milliseconds from now.
             */
            left_ms: number;
            /** @description Its number. */
            order: string;
            /**
             * Format: int32
             * @description The block that ends it, or in which it lapses where it is not confirmed.
             */
            over_block: number;
            /**
             * Format: int32
             * @description How many of them have a session.
             */
            sessions: number;
        };
        /** @description What the smallest order costs: one card. */
        LeasePrice: {
            /**
             * Format: int32
             * @description Its length in blocks; longer orders are multiples of it.
             */
            blocks: number;
            /** @description What each order costs beside its rent and is never given back, in planck. */
            fixed_planck: string;
            /**
             * Format: int64
             * @description The same in milliseconds; absent where blocks come with transactions only.
             */
            lasts_ms?: number | null;
            /** @description Its rent, in planck. */
            rent_planck: string;
        };
        /** @description How a session's order stands. */
        LeaseStatus: {
            /** @description What they charge, in planck. */
            charged_planck: string;
            /**
             * Format: int64
             * @description Milliseconds until it is expected to end; of a trial, live time that is left.
             */
            left_ms: number;
            /**
             * Format: int64
             * @description Milliseconds that durable receipts are of.
             */
            metered_ms: number;
            /** @description The order. */
            order: string;
            /**
             * Format: int32
             * @description The block that ends it.
             */
            over_block: number;
            /** @description The name of the session's receipts. */
            receipts: string;
            /** @description It is being tried before it is confirmed. */
            trial: boolean;
        };
        /** @description Amounts that moved together between accounts: what is debited is what is credited. */
        LedgerEntry: {
            /** @description What it is known by: it was written once. */
            key: string;
            /** @description What sort it is. */
            kind: string;
            /** @description What moved. */
            lines: components["schemas"]["LedgerLine"][];
            /**
             * Format: int64
             * @description Counts from one.
             */
            number: number;
            /**
             * Format: int64
             * @description When, in milliseconds since 1970 by the chain's clock.
             */
            unix_ms: number;
        };
        /** @description An amount of one account. */
        LedgerLine: {
            /** @description Such as `used/77`, of order 77. */
            account: string;
            /** @description How much, in planck. */
            planck: string;
            /** @description `debit` or `credit`. */
            side: string;
        };
        /**
         * @description Whether a client may send its microphone's sound.
         * @enum {string}
         */
        MicrophoneAccess: "allowed" | "not_by_game" | "not_by_node" | "not_by_role";
        /** @description What came of a player's microphone. */
        MicrophoneStats: {
            /**
             * Format: int32
             * @description Milliseconds of it that wait to be recorded.
             */
            buffer_ms: number;
            /**
             * Format: int32
             * @description Milliseconds of it that were left out, since they were too much or too late, in all.
             */
            dropped_ms: number;
            /** @description Why nothing is heard any more. */
            failed?: string | null;
            /**
             * Format: int32
             * @description Kilobits a second, over the last second.
             */
            kbps: number;
            /**
             * Format: int64
             * @description Packets that did not come, in all.
             */
            lost: number;
            /** @description Something came lately. */
            on: boolean;
            /**
             * Format: int64
             * @description Packets that came, in all.
             */
            packets: number;
            /** @description What is played records it, be it on or not. */
            recorded: boolean;
            /**
             * Format: int64
             * @description Of them, those right before a packet that came, which says something of them where the browser expects losses.
             */
            recovered: number;
            /**
             * Format: int64
             * @description Packets that came too late, were none, or found the decoder's queue full, in all.
             */
            refused: number;
        };
        /** @description Asks for a text that the renter signs. */
        NewChallenge: {
            /** @description The renter: an address (ss58) or 64 hexadecimal digits. */
            account: string;
            /** @description The order. */
            order: string;
        };
        /** @description Asks for a link that lets others join a session. */
        NewInvitation: {
            /**
             * Format: int32
             * @description Seconds until it lets nobody in any more, at least 1; at most as long as a session may be, which is also
             *     the default.
             */
            expires_in?: number | null;
            /** @description What they may do. */
            role: components["schemas"]["InvitedRole"];
            /**
             * Format: int32
             * @description How many may join by it, at least 1; without it as many as there is room for.
             */
            uses?: number | null;
        };
        /** @description Asks for a session. */
        NewSession: {
            /**
             * @description Catalogue id.
             * @example demo
             */
            app: string;
            /** @description Draws the machine-readable strip (frame id, input number) into the picture. */
            barcode?: boolean;
            /**
             * Format: int32
             * @description How many channels the player's device has for sound, so that a game begins with as many: 6 for 5.1, 8 for 7.1. Two where
             *     nothing is said. Clients say it on the control channel in any case, when they connect.
             */
            channels?: number | null;
            /**
             * @description Who plays, of 1 to 128 ASCII letters, digits, `-`, `_`, `.` and `@`: what is saved in the game is kept for this
             *     player, and nothing is where none is named. Whoever holds an operator's token names whom it likes. On an open
             *     node, which anybody may ask, the name itself is what opens the saves: at least 22 characters, which should be 128
             *     random bits or more. On a rented node it is one of the renter's own, `renter` where none is named.
             */
            player?: string | null;
            player_key?: components["schemas"]["PlayerKey"] | null;
            /**
             * @description The save to begin with, by its `id`, or `none` to begin afresh; without it the newest. Of a damaged one the node
             *     tells in [`Session::saves`], and takes the newest whole one.
             */
            save?: string | null;
            /** @description Wishes for the picture. */
            video?: components["schemas"]["VideoWish"];
            view?: components["schemas"]["View"] | null;
        };
        /** @description What the node is and can do. */
        Node: {
            /** @description The graphics device. */
            device: string;
            /** @description Encoders in order of preference, with the reason why one is not used. */
            encoders: components["schemas"]["EncoderReport"][];
            /** @description Whether sessions can be had without a token. */
            open: boolean;
            /** @description Whether sessions are for whoever rents the machine (`/api/v1/lease`). */
            rented: boolean;
            /** @description Version of the server. */
            version: string;
        };
        /** @description What was paid for an order on the chain, and what of it is used. */
        OrderAccount: {
            /** @description The first without the second, in planck; below nothing where more was used, or what was paid is not proven. */
            left_planck: string;
            /** @description The order. */
            order: string;
            /** @description It is gone from the chain. */
            over: boolean;
            /** @description What final blocks show to be paid for it, in planck. */
            paid_planck: string;
            /**
             * Format: int32
             * @description Blocks of it that were paid for at a price that could no longer be read: that is in no amount.
             */
            unproven_blocks: number;
            /** @description What its receipts charge, in planck. */
            used_planck: string;
        };
        /** @description What a gamepad is to look and feel like. */
        PadEffects: {
            /** @description The left trigger: a mode of the DualSense, and what it is given. */
            left?: number[] | null;
            /** @description Its colour: red, green, blue. */
            light?: number[] | null;
            /**
             * Format: int32
             * @description Which, 0 to 3.
             */
            pad: number;
            /**
             * Format: int32
             * @description A bit for each light that says which player it is.
             */
            players?: number | null;
            /** @description The same of the right one. */
            right?: number[] | null;
        };
        /**
         * @description What gamepads become in what is played.
         * @enum {string}
         */
        PadsAs: "devices" | "library" | "nothing";
        /**
         * @description What a path is like.
         * @enum {string}
         */
        PathCondition: "clear" | "filling" | "overused" | "contended";
        /** @description Milliseconds. */
        Percentiles: {
            /** Format: double */
            p50: number;
            /** Format: double */
            p95: number;
            /** Format: double */
            p99: number;
        };
        /** @description The public half of a key that a page makes for its session (WebCrypto), to acknowledge receipts with. */
        PlayerKey: {
            /** @description Hexadecimal digits: 64 of Ed25519, 66 of the compressed point of P-256. */
            key: string;
            /** @description What kind. */
            kind: components["schemas"]["PlayerKeyKind"];
        };
        /**
         * @description Kinds of such keys.
         * @enum {string}
         */
        PlayerKeyKind: "ed25519" | "p256";
        /** @description A place in the picture. */
        Pointer: {
            /**
             * Format: int32
             * @description Pixels of the session's picture at its full size (`hello`) from its left edge.
             */
            x: number;
            /**
             * Format: int32
             * @description And from its upper one.
             */
            y: number;
        };
        /** @description An error (RFC 9457), `application/problem+json`. */
        Problem: {
            /**
             * @description Why a session is over, a code that never changes, such as `game_exited` and `game_crashed`: present where it is, and
             *     that is known.
             */
            code?: string | null;
            /** @description This occurrence in words. */
            detail?: string | null;
            /**
             * Format: int32
             * @description When to try again, in seconds, as in `Retry-After`.
             */
            retry_after?: number | null;
            room?: components["schemas"]["Room"] | null;
            /**
             * Format: int32
             * @description HTTP status.
             */
            status: number;
            /** @description The kind in words. */
            title: string;
            /** @description A URI reference that names the kind of problem, such as `/problems/unknown-session`. */
            type: string;
        };
        /** @description What a user wants at most. */
        Quality: {
            /**
             * Format: int32
             * @description Frames per second; absent for all that was granted.
             */
            fps?: number | null;
            /**
             * Format: int32
             * @description Kilobits per second; absent for all that was granted.
             */
            max_kbps?: number | null;
        };
        /**
         * @description What keeps a session from more.
         * @enum {string}
         */
        RateLimit: "link" | "client" | "ceiling" | "source";
        /** @description What a session's rate follows. */
        RateStats: {
            /**
             * Format: int32
             * @description Kilobits a second that arrive.
             */
            arrives_kbps: number;
            /**
             * Format: double
             * @description Part of the frame rate that pictures are made at, at most 1.
             */
            frame_rate: number;
            /** @description What keeps the session from more. */
            limited_by: components["schemas"]["RateLimit"];
            /** @description What the path is like. */
            path: components["schemas"]["PathCondition"];
            /**
             * Format: double
             * @description How long the newest packet that is known of waited on its way, in milliseconds.
             */
            queue_ms: number;
            /**
             * Format: double
             * @description Part of both edges of the size that they are coded at, at most 1.
             */
            size: number;
            /**
             * Format: int32
             * @description How often that changed in this session. Each change is a keyframe; two are at least 5 s apart.
             */
            size_changes: number;
        };
        /** @description A record of receipts: what counts is in hexadecimal digits. */
        ReceiptRecord: {
            /** @description The player's, if he acknowledged it. */
            acknowledged?: string | null;
            /** @description The bytes that were signed (`docs/receipts.md`). */
            record: string;
            /** @description What the bytes say, for people. */
            says: Record<string, never>;
            /** @description The machine's signature. */
            signature: string;
        };
        /** @description What there is of one session's receipts. */
        Receipts: {
            /** @description What they charge, in planck. */
            charged_planck: string;
            /** @description Why there come no more; absent while some do. */
            closed?: string | null;
            /**
             * Format: int64
             * @description Milliseconds that they are of.
             */
            metered_ms: number;
            /**
             * Format: int64
             * @description When the session became live, in milliseconds since 1970 by the chain's clock.
             */
            opened_unix_ms: number;
            /** @description The order. */
            order: string;
            /** @description Their name. */
            receipts: string;
            /**
             * Format: int32
             * @description How many records there are.
             */
            records: number;
            /** @description They are of a trial. */
            trial: boolean;
            /**
             * Format: int64
             * @description Of them, outside of lease or credit.
             */
            unpaid_ms: number;
        };
        /** @description A file of receipts, from which `nearlight receipts verify` needs nothing else but the machine's id. */
        ReceiptsFile: {
            /** @description `nearlight-receipts/1`. */
            format: string;
            /** @description The records in order. */
            records: components["schemas"]["ReceiptRecord"][];
        };
        /** @description A version that a session did not begin with. */
        RefusedSave: {
            /** @description Which. */
            id: string;
            /** @description Why. */
            reason: string;
        };
        /**
         * @description What somebody does in a session.
         * @enum {string}
         */
        Role: "player" | "co_player" | "spectator";
        /** @description A sum of the node in which there is no room. */
        Room: {
            /**
             * Format: int64
             * @description What was asked for.
             */
            asked: number;
            /**
             * Format: int32
             * @description When somebody is expected to leave, in seconds, by how long sessions usually last here; null where that is
             *     unknown.
             */
            expected_wait?: number | null;
            /**
             * Format: int64
             * @description What is left.
             */
            left: number;
            /** @description `sessions`, `viewers`, `render`, `cpu`, `encoder`, `memory`, `graphics_memory` or `egress`. */
            sum: string;
            /** @description What it is counted in. */
            unit: string;
        };
        /** @description A version of what a player keeps of a game. */
        Save: {
            /**
             * Format: int64
             * @description Bytes of its files; absent where it is damaged.
             */
            bytes?: number | null;
            /** @description Why it cannot be played from. What of its files is damaged shows when it is read. */
            damaged?: string | null;
            /**
             * Format: int32
             * @description Files in it.
             */
            files: number;
            /** @description Names it among those of its player and game; later ones have higher numbers. */
            id: string;
            /**
             * Format: int64
             * @description What was left out of it: links, and what is neither a file nor a folder.
             */
            left_out: number;
            /** @description It is kept however many newer ones come. */
            pinned: boolean;
            /**
             * Format: int64
             * @description When it was made, in milliseconds since 1970 UTC; absent where it is damaged.
             */
            saved_at?: number | null;
        };
        /** @description A game of which a player keeps something. */
        SavedGame: {
            /** @description Its id in the catalogue, now or once. */
            app: string;
            /**
             * Format: int32
             * @description How many versions there are.
             */
            saves: number;
            /** @description Its title; the id where the catalogue has it not any more. */
            title: string;
            /** @description Why nothing can be played from them now. For people. */
            unavailable?: string | null;
        };
        /** @description The games of which a player keeps something. */
        SavedGames: {
            /** @description By their ids, in order. */
            games: components["schemas"]["SavedGame"][];
        };
        /** @description What came of saving a game that runs. */
        SaveResult: {
            /** @description A version was made. */
            made: boolean;
            /**
             * @description The version that was made, or that is the same already; absent where nothing is there that could be kept, or
             *     nothing changed since the session began.
             */
            save?: string | null;
        };
        /** @description What a player keeps of a game. */
        Saves: {
            /** @description A session of the player plays the game now: at its end it adds a version, where it changed something. */
            playing: boolean;
            /** @description Versions, the newest first. */
            saves: components["schemas"]["Save"][];
            /** @description Why nothing can be played from them now: the game cannot, or is not on offer any more. For people. */
            unavailable?: string | null;
        };
        /** @description What the server says on the control channel. */
        ServerMessage: {
            /** @description What it codes, by its name in RTP: `H264`, `H265`, `AV1`, `VP9` or `VP8`. */
            codec: string;
            /** @description Why each better encoder is not in use, one line each. */
            declined: string[];
            /** @description What draws. */
            device: string;
            /** @description Encoder in use. */
            encoder: string;
            /** @description What is to be known of it: that it does not keep up, or that pictures of their size are left out. */
            encoder_caveat?: string | null;
            /** @description Why the picture has standard range though the session was asked for in high dynamic range. */
            hdr_declined?: string | null;
            input?: components["schemas"]["InputTaken"] | null;
            /** @description Whether the client may send its microphone's sound. */
            microphone: components["schemas"]["MicrophoneAccess"];
            /** @description What the client may do. */
            role: components["schemas"]["Role"];
            saves?: components["schemas"]["SessionSaves"] | null;
            /**
             * @description Why the picture is smaller than its place (`view`): the node has no room for a larger screen now. It is asked for
             *     again every few seconds. For people.
             */
            screen_refused?: string | null;
            /** @description The session; for those who joined it, their own id. */
            session: string;
            /** @enum {string} */
            type: "hello";
            /** @description The picture. */
            video: components["schemas"]["Video"];
        } | {
            /**
             * Format: int32
             * @description To be returned.
             */
            id: number;
            /** @enum {string} */
            type: "ping";
        } | (components["schemas"]["Stats"] & {
            /** @enum {string} */
            type: "stats";
        }) | {
            /**
             * Format: int32
             * @description Milliseconds; it ends by itself then.
             */
            ms: number;
            /**
             * Format: int32
             * @description Which, 0 to 3.
             */
            pad: number;
            /**
             * Format: int32
             * @description How hard with the heavy, slow motor, 0 to 65535.
             */
            strong: number;
            /** @enum {string} */
            type: "rumble";
            /**
             * Format: int32
             * @description And with the light, fast one.
             */
            weak: number;
        } | (components["schemas"]["PadEffects"] & {
            /** @enum {string} */
            type: "pad_effects";
        }) | (components["schemas"]["Cursor"] & {
            /** @enum {string} */
            type: "cursor";
        }) | (components["schemas"]["Pointer"] & {
            /** @enum {string} */
            type: "pointer";
        }) | {
            /**
             * Format: int64
             * @description Counts what was copied in this session.
             */
            number: number;
            /** @enum {string} */
            type: "clipboard";
        } | {
            /** @description In the order of [`StartStep`]. */
            step: components["schemas"]["StartStep"];
            /** @enum {string} */
            type: "starting";
        } | (components["schemas"]["LeaseStatus"] & {
            /** @enum {string} */
            type: "lease";
        }) | (components["schemas"]["SliceReceipt"] & {
            /** @enum {string} */
            type: "receipt";
        }) | {
            /**
             * Format: int64
             * @description Milliseconds left.
             */
            in_ms: number;
            /** @description For people. */
            reason: string;
            /** @enum {string} */
            type: "warning";
        } | {
            /** @description A code that never changes, such as `game_exited` and `game_crashed`; absent where there is none. */
            code?: string | null;
            /** @description For people. */
            reason: string;
            /** @enum {string} */
            type: "ended";
        };
        /** @description A session. */
        Session: {
            /** @description Catalogue id. */
            app: string;
            /** @description What its game tried that its sandbox refuses; absent where that is nothing, and for those who joined it. */
            attempts?: components["schemas"]["Attempts"][];
            /** @description What its pictures cost, whoever watches. */
            frames: components["schemas"]["FrameCounts"];
            /** @description STUN and TURN servers for the client. */
            ice_servers: components["schemas"]["IceServer"][];
            /** @description Unique across nodes. */
            id: string;
            /**
             * @description Absolute address of the page that plays this session; it carries a ticket that works once,
             *     for handing the session to a player. Only in the answer that created it.
             */
            play_url?: string | null;
            /** @description Why it is there, for people: present once refused, ending or ended. */
            reason?: string | null;
            /**
             * @description Bearer token for the receipts of this session alone (`/api/v1/lease/receipts`), also when it is over. Only in answers
             *     with a token of a player of a rented node.
             */
            receipts_token?: string | null;
            /**
             * @description Ticket that works once, to be redeemed for another token in place of this one: for a page that is loaded
             *     again. Only in answers with a token.
             */
            resume_ticket?: string | null;
            /** @description What whoever holds the token of this answer does in the session. */
            role: components["schemas"]["Role"];
            saves?: components["schemas"]["SessionSaves"] | null;
            sharing?: components["schemas"]["SessionSharing"] | null;
            /** @description Absolute address to POST to for one to connect to by WebSocket; absent where the node does not offer it. */
            socket_url?: string | null;
            start?: components["schemas"]["StartKind"] | null;
            starting?: components["schemas"]["StartStep"] | null;
            /** @description Where it is in its life. */
            state: components["schemas"]["SessionState"];
            /** @description Bearer token for this session's addresses; only in the answer that created it. */
            token?: string | null;
            transport?: components["schemas"]["TransportChoice"] | null;
            /** @description Absolute address of this resource. */
            url: string;
            /** @description The picture. */
            video: components["schemas"]["Video"];
            /** @description Those who joined by invitations and are connected. */
            viewers: components["schemas"]["Viewers"];
            webtransport?: components["schemas"]["WebTransport"] | null;
            /** @description Absolute address to POST an SDP offer to (WHEP). */
            whep_url: string;
        };
        /** @description A file of a session's folder. */
        SessionFile: {
            /**
             * Format: int64
             * @description Its bytes.
             */
            bytes: number;
            /**
             * Format: int64
             * @description When it was changed, in milliseconds since 1970 UTC.
             */
            changed_at: number;
            /** @description Its name. */
            name: string;
        };
        /** @description The files of a session's folder. */
        SessionFiles: {
            /** @description By name. What is no regular file, or has a name that cannot be shown, is left out. */
            files: components["schemas"]["SessionFile"][];
            /**
             * Format: int64
             * @description Bytes that may still come.
             */
            left: number;
        };
        /** @description What a session keeps. */
        SessionSaves: {
            /** @description Why the last try to save made none. */
            failed?: string | null;
            /** @description Versions that it did not begin with because they are damaged. They are kept as they are. */
            refused: components["schemas"]["RefusedSave"][];
            /** @description The version that it began with; absent where it began afresh. */
            restored?: string | null;
            /** @description The version that it made last. */
            saved?: string | null;
        };
        /** @description What a session may share with its player's own machine, as its entry and the node allow. */
        SessionSharing: {
            clipboard?: components["schemas"]["ClipboardRules"] | null;
            files?: components["schemas"]["FileRules"] | null;
        };
        /**
         * @description Where a session is in its life (see ARCHITECTURE.md).
         * @enum {string}
         */
        SessionState: "requested" | "admitted" | "starting" | "live" | "suspended" | "ending" | "ended";
        /** @description A slice of what the session used, durable, to be acknowledged (`acknowledge`). */
        SliceReceipt: {
            /** @description The name of the session's receipts. */
            chain: string;
            /** @description Its bytes in hexadecimal digits (`docs/receipts.md`). */
            record: string;
            /**
             * Format: int32
             * @description Its number.
             */
            sequence: number;
            /** @description The machine's signature of them. */
            signature: string;
        };
        /** @description One stage of the latency ledger. */
        StageStat: {
            /**
             * Format: double
             * @description Its mean length in milliseconds over the frames whose whole way is known; of all stages they add up to
             *     [`Stats::mean_total`], which percentiles do not.
             */
            mean?: number | null;
            /** @description Its length. */
            ms: components["schemas"]["Percentiles"];
            /** @description Its name; `network` stands for network, jitter buffer and decoder together where there is no `decode`. */
            stage: string;
        };
        /**
         * @description How a session began.
         * @enum {string}
         */
        StartKind: "warm" | "cold";
        /**
         * @description What the start of a game waits for, in order.
         * @enum {string}
         */
        StartStep: "sandbox" | "display" | "game" | "picture";
        /** @description How a session goes, over the last second. */
        Stats: {
            audio?: components["schemas"]["AudioStats"] | null;
            /**
             * Format: double
             * @description Half width of the interval that the clock offset lies in.
             */
            clock_error_ms?: number | null;
            /** @description Size of the coded picture. */
            coded: number[];
            /**
             * Format: int64
             * @description Frames dropped before the encoder, in all.
             */
            dropped: number;
            /**
             * Format: double
             * @description Frames encoded a second.
             */
            fps: number;
            /**
             * Format: int64
             * @description Input events of this client that were dropped, since it sent more than is taken, in all.
             */
            input_dropped: number;
            /** @description Size that is drawn before scaling to the coded size. */
            internal: number[];
            /**
             * Format: int32
             * @description Kilobits a second sent.
             */
            kbps: number;
            /**
             * Format: int64
             * @description Keyframes, in all.
             */
            keyframes: number;
            /**
             * Format: double
             * @description Mean from capture to presentation, milliseconds.
             */
            mean_total?: number | null;
            microphone?: components["schemas"]["MicrophoneStats"] | null;
            /** @description What the rate follows. */
            rate: components["schemas"]["RateStats"];
            /**
             * Format: double
             * @description Round trip of the control channel.
             */
            rtt_ms?: number | null;
            /** @description Stages in order; they sum to the whole. */
            stages: components["schemas"]["StageStat"][];
            /**
             * Format: int32
             * @description Kilobits a second that the encoder aims at.
             */
            target_kbps: number;
            total?: components["schemas"]["Percentiles"] | null;
            /**
             * Format: int64
             * @description Frames that were not encoded because nothing changed, in all.
             */
            unchanged: number;
            /** @description Those who watch and play along. */
            viewers: components["schemas"]["Viewers"];
        };
        /**
         * @description What is done with input that not everything takes.
         * @enum {string}
         */
        TakenAs: "itself" | "with_pressure" | "pointer" | "nothing";
        /** @description A ticket to be redeemed for a session's token. */
        Ticket: {
            /** @description From the fragment of a `play_url`. */
            ticket: string;
        };
        /** @description What became of a ticket. */
        TicketUse: {
            /** @description Whether it was taken back. */
            revoked: boolean;
            /** @description Which. */
            ticket: string;
            /**
             * Format: int32
             * @description How often it was used.
             */
            uses: number;
        };
        /** @description Something that went between a game and its player's own machine. What was in it is kept nowhere. */
        Transfer: {
            /**
             * Format: int64
             * @description When it had gone, in milliseconds since 1970 UTC.
             */
            at: number;
            /**
             * Format: int64
             * @description Bytes that went.
             */
            bytes: number;
            /** @description `to_game` or `from_game`. */
            way: string;
            /** @description `text` or `image`, of the clipboard, or `file`. */
            what: string;
            /** @description All of it did. */
            whole: boolean;
        };
        /** @description The transport that a client took. */
        TransportChoice: {
            /** @description The transport. */
            kind: components["schemas"]["TransportKind"];
            /** @description Why, in the client's words. */
            reason: string;
        };
        /**
         * @description How a session reaches its client.
         * @enum {string}
         */
        TransportKind: "webrtc" | "webtransport" | "websocket";
        /** @description The picture that a session has. */
        Video: {
            /**
             * Format: int32
             * @description Frames per second.
             */
            fps: number;
            /** @description High dynamic range (HDR10); of a session, for clients that decode it. */
            hdr: boolean;
            /**
             * Format: int32
             * @description Pixels down.
             */
            height: number;
            /**
             * Format: int32
             * @description Most kilobits per second.
             */
            max_kbps: number;
            /**
             * Format: int32
             * @description Pixels across.
             */
            width: number;
        };
        /**
         * @description Wishes for the picture; what the node grants stands in [`Session::video`]. Whoever says no width, height or rate has
         *     those of the game's entry, else of the node's configuration.
         */
        VideoWish: {
            /**
             * Format: int32
             * @description Frames per second.
             */
            fps?: number | null;
            /**
             * @description High dynamic range (HDR10: 10 bits a sample, BT.2020, PQ). Refused where the entry does not draw it or
             *     no encoder of the node takes it. A client that does not decode it is shown standard range: the session's
             *     greeting says why.
             */
            hdr?: boolean;
            /**
             * Format: int32
             * @description Pixels down, even.
             */
            height?: number | null;
            /**
             * Format: int32
             * @description Most kilobits per second.
             */
            max_kbps?: number | null;
            /**
             * Format: int32
             * @description Pixels across, even.
             */
            width?: number | null;
        };
        /** @description The place that a client shows the picture in. */
        View: {
            /**
             * Format: int32
             * @description Dots an inch that what is played should count on: 96 times the device pixels in a CSS pixel.
             */
            dpi: number;
            /**
             * Format: int32
             * @description Device pixels down.
             */
            height: number;
            /**
             * Format: int32
             * @description Device pixels across.
             */
            width: number;
        };
        /** @description Somebody who joined a session. */
        Viewer: {
            /**
             * Format: int64
             * @description Input of a spectator, or more than is taken.
             */
            input_refused: number;
            /**
             * Format: int64
             * @description The invitation that it came by.
             */
            invitation: number;
            /**
             * Format: int64
             * @description Tells viewers of a node apart.
             */
            number: number;
            /** @description What it may do. */
            role: components["schemas"]["Role"];
            /** @description `live` while it is connected, `suspended` while its place is kept for it. */
            state: components["schemas"]["SessionState"];
            transport?: components["schemas"]["TransportChoice"] | null;
            /**
             * Format: int64
             * @description Units that were given to its transport.
             */
            units_sent: number;
            /**
             * Format: int64
             * @description Units that it was not given: it could not have decoded them, or took less than the stream has.
             */
            units_skipped: number;
        };
        /** @description Viewers of a session that are connected. */
        Viewers: {
            /** Format: int32 */
            co_players: number;
            /** Format: int32 */
            spectators: number;
        };
        /** @description Where a session can be had by WebSocket. */
        WebSocket: {
            /** @description Works once, and for a short time; append `&decodes=` with codecs. */
            url: string;
        };
        /** @description Where a session can be had by WebTransport. */
        WebTransport: {
            /**
             * @description SHA-256 of the certificates that the node may show, in base64, for `serverCertificateHashes`; empty
             *     where browsers know its issuer.
             */
            certificate_hashes: string[];
            /**
             * @description Address to connect to. It carries a ticket that works once, for as long as `sessions.connect` says; a
             *     client appends `&decodes=H264,VP9` with the codecs that it decodes (of `H264`, `H265`, `VP8`, `VP9`,
             *     `AV1`), and `&decodes10=` with those that it decodes in 10 bits a sample.
             */
            url: string;
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
            query?: {
                /** @description Words that all stand in an entry's title, genre or summary. */
                q?: string;
            };
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
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
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
                    "image/jpeg": number[];
                };
            };
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
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
    list_saves: {
        parameters: {
            query?: never;
            header: {
                /** @description The player, as in `NewSession`. */
                "nearlight-player": string;
            };
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
                    "application/json": components["schemas"]["Saves"];
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
        };
    };
    download_save: {
        parameters: {
            query?: never;
            header: {
                /** @description The player, as in `NewSession`. */
                "nearlight-player": string;
            };
            path: {
                app: string;
                save: string;
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
                    "application/x-tar": number[];
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
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_save: {
        parameters: {
            query?: never;
            header: {
                /** @description The player, as in `NewSession`. */
                "nearlight-player": string;
            };
            path: {
                app: string;
                save: string;
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
            403: {
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
    pin_save: {
        parameters: {
            query?: never;
            header: {
                /** @description The player, as in `NewSession`. */
                "nearlight-player": string;
            };
            path: {
                app: string;
                save: string;
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
            403: {
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
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    unpin_save: {
        parameters: {
            query?: never;
            header: {
                /** @description The player, as in `NewSession`. */
                "nearlight-player": string;
            };
            path: {
                app: string;
                save: string;
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
            403: {
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
    restore_save: {
        parameters: {
            query?: never;
            header: {
                /** @description The player, as in `NewSession`. */
                "nearlight-player": string;
            };
            path: {
                app: string;
                save: string;
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
                    "application/json": components["schemas"]["SaveResult"];
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
            403: {
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
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    join: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Join"];
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
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            503: {
                headers: {
                    "Retry-After"?: number;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_lease: {
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
                    "application/json": components["schemas"]["Lease"];
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
    list_accounts: {
        parameters: {
            query?: {
                /** @description `json` or `csv`; JSON unless said otherwise. */
                format?: string;
            };
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
                    "application/json": components["schemas"]["OrderAccount"][];
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
    prove_renter: {
        parameters: {
            query?: never;
            header: {
                /** @description Instead of it, `Multisig` as JSON in base64. */
                "nearlight-multisig"?: string;
                /** @description The text that was signed, in base64. */
                "nearlight-proof": string;
                /** @description Its signature in hexadecimal digits. */
                "nearlight-signature"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BearerRequest"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Bearer"];
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
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
    challenge_renter: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewChallenge"];
            };
        };
        responses: {
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Challenge"];
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
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
    list_entries: {
        parameters: {
            query?: {
                /** @description The number of the last entry that is known; 0 unless said otherwise. */
                after?: number;
                /** @description `json` or `csv`; JSON unless said otherwise. */
                format?: string;
            };
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
                    "application/json": components["schemas"]["LedgerEntry"][];
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
    list_receipts: {
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
                    "application/json": components["schemas"]["Receipts"][];
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
            403: {
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
    export_receipts: {
        parameters: {
            query?: {
                /** @description `json`, which can be verified, or `csv`; JSON unless said otherwise. */
                format?: string;
            };
            header?: never;
            path: {
                receipts: string;
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
                    "application/json": components["schemas"]["ReceiptsFile"];
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
            403: {
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
    acknowledge_receipt: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                receipts: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Acknowledgement"];
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
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
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_leased_sessions: {
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
    enter_leased_session: {
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
            201: {
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
            403: {
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
    list_tickets: {
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
                    "application/json": components["schemas"]["TicketUse"][];
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
            403: {
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
    revoke_ticket: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                ticket: string;
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
            403: {
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
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    redeem_ticket: {
        parameters: {
            query?: never;
            header: {
                /** @description Instead of it, `Multisig` as JSON in base64. */
                "nearlight-multisig"?: string;
                /** @description The text that was signed, in base64. */
                "nearlight-proof": string;
                /** @description Its signature in hexadecimal digits. */
                "nearlight-signature"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "text/plain": string;
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Bearer"];
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            429: {
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
            507: {
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
    list_saved_games: {
        parameters: {
            query?: never;
            header: {
                /** @description The player, as in `NewSession`. */
                "nearlight-player": string;
            };
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
                    "application/json": components["schemas"]["SavedGames"];
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
                    Location?: string;
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            503: {
                headers: {
                    "Retry-After"?: number;
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
            410: {
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
            403: {
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
    read_clipboard: {
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
                    "image/png": number[];
                    "text/plain": string;
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    write_clipboard: {
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
                "image/png": number[];
                "text/plain": string;
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_files: {
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
                    "application/json": components["schemas"]["SessionFiles"];
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
            403: {
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
    download_file: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
                name: string;
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
                    "application/octet-stream": number[];
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upload_file: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/octet-stream": number[];
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_file: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
                name: string;
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
            403: {
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
    list_invitations: {
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
                    "application/json": components["schemas"]["Invitation"][];
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
        };
    };
    invite: {
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
                "application/json": components["schemas"]["NewInvitation"];
            };
        };
        responses: {
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Invitation"];
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
                invitation: number;
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
            403: {
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
    redeem: {
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
                "application/json": components["schemas"]["Ticket"];
            };
        };
        responses: {
            200: {
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
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
    save_session: {
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
                    "application/json": components["schemas"]["SaveResult"];
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
            403: {
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
            507: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    connect_socket: {
        parameters: {
            query: {
                decodes?: string;
                decodes10?: string;
                race?: number;
                ticket: string;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            101: {
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
            403: {
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
            426: {
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
    socket: {
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
                    "application/json": components["schemas"]["WebSocket"];
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
            403: {
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
    list_transfers: {
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
                    "application/json": components["schemas"]["Transfer"][];
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
            403: {
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
    viewers: {
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
                    "application/json": components["schemas"]["Viewer"][];
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
        };
    };
    webtransport: {
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
                    "application/json": components["schemas"]["WebTransport"];
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
            403: {
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
    offer: {
        parameters: {
            query?: never;
            header?: {
                /** @description The race, as in `race` of the other transports' addresses. */
                "nearlight-race"?: number | null;
            };
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
                    "Accept-Patch"?: string;
                    ETag?: string;
                    Location?: string;
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
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
            403: {
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    show_viewer: {
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
            410: {
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
    leave: {
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
            403: {
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
    connect_viewer_socket: {
        parameters: {
            query: {
                decodes?: string;
                decodes10?: string;
                race?: number;
                ticket: string;
            };
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            101: {
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
            403: {
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
            426: {
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
    viewer_socket: {
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
                    "application/json": components["schemas"]["WebSocket"];
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
            403: {
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
    viewer_webtransport: {
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
                    "application/json": components["schemas"]["WebTransport"];
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
            403: {
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
    viewer_offer: {
        parameters: {
            query?: never;
            header?: {
                /** @description The race, as for a session. */
                "nearlight-race"?: number | null;
            };
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
                    "Accept-Patch"?: string;
                    ETag?: string;
                    Location?: string;
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
        };
    };
    viewer_close: {
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
            403: {
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
    viewer_trickle: {
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
            403: {
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
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Problem"];
                };
            };
            415: {
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
