//! Viewers that come: what each is answered, and how each follows what the session is coded in.

use std::time::Duration;

use media::{DataChannel, InputEvent, InputSeq, SequencedInput, TransportEvent};
use session::reason::StoppedBy;
use transport::Decodes;

use super::{Coded, Viewer};
use crate::caller::{Caller, Refused};
use crate::drive::answer;
use crate::drive::audience::Stream;
use crate::drive::connection::{Connection, Pending};
use crate::registry::{Answer, Asked, Command, ConnectError};

/// Longest that a viewer who comes early waits for the session's encoder.
const ENCODER_WAIT: Duration = Duration::from_secs(5);

impl Viewer {
    pub(super) async fn command(&mut self, command: Command) {
        match command {
            Command::Connect(offer, race, reply) => {
                let answered = self.connect(&offer, race).await;
                if let Err(error) = &answered {
                    tracing::info!(%error, "viewer's offer refused");
                }
                let _ = reply.send(answered);
            }
            Command::Accept(caller, asked) => self.accept(caller, asked).await,
            Command::Trickle(name, fragment, reply) => {
                let pending = self.pending.iter().map(|it| &it.connection);
                let known = self.connection.iter().chain(pending);
                let _ = reply.send(Connection::trickle(known, &name, &fragment));
            }
            Command::Stop(by) => self.end(match by {
                StoppedBy::Client => "You left.",
                StoppedBy::Owner => "The player took the invitation back.",
                StoppedBy::Operator => "The node's operator ended it.",
                other => return self.end(other.to_string()),
            }),
        }
    }

    async fn connect(&mut self, offer: &str, race: Option<u32>) -> Result<Answer, ConnectError> {
        if self.is_outrun(race) {
            return Err(ConnectError::Outrun);
        }
        let (codec, kind) = self.coded_for(answer::decodes(offer)?).await?;
        let sound = self.audience.sound().is_offered();
        let way = answer::Way { sound, microphone: false };
        let depth = kind.format.depth();
        let (taken, answer) =
            answer::answer(&self.node, Some(codec), depth, way, (offer, race)).await?;
        let (count, metrics) = (&mut self.connections, &self.node.metrics);
        let pending = Pending::new(count, taken, (codec, kind), metrics);
        let connection = pending.connection.name().to_owned();
        // One that is coded otherwise shows nothing any more.
        let shows = self.told == Some(pending.media);
        if shows && self.connection.as_ref().is_some_and(Connection::plays) {
            self.pending = Some(pending);
            self.show_status();
        } else {
            self.take_over(pending).await;
        }
        Ok(Answer { connection, sdp: answer.sdp })
    }

    /// What the connection that is to take over says: nothing but that its client is reached, or cannot be.
    pub(super) async fn pending_event(&mut self, event: TransportEvent) {
        match event {
            // A channel may open a moment before the connection counts as up.
            TransportEvent::Connected { .. } | TransportEvent::ChannelOpen(_) => {
                self.change_over().await;
                self.transport_event(event).await;
            }
            TransportEvent::Closed(reason) => {
                tracing::info!(%reason, "viewer not connected, the connection before goes on");
                if let Some(pending) = self.pending.take() {
                    self.node.metrics.connection_closed(pending.connection.by(), &reason);
                }
                self.show_status();
            }
            _ => {}
        }
    }

    /// Lets the connection take over that is to, if there is one.
    pub(super) async fn change_over(&mut self) -> bool {
        let Some(pending) = self.pending.take() else { return false };
        self.take_over(pending).await;
        true
    }

    /// Whether the client is served by another connection of this race.
    fn is_outrun(&self, race: Option<u32>) -> bool {
        self.connection.as_ref().is_some_and(|it| it.outran(race))
    }

    /// The client learns the outcome by its connection.
    async fn accept(&mut self, caller: Caller, Asked { decodes, race }: Asked) {
        if self.is_outrun(race) {
            tokio::spawn(caller.refuse(Refused::Busy, ConnectError::Outrun.to_string()));
            return;
        }
        let accepted = match self.coded_for(decodes).await {
            Ok((codec, kind)) => {
                let depth = kind.format.depth();
                let caller = (caller, race);
                match answer::accept(&self.node, self.video, codec, depth, caller).await {
                    Ok(taken) => {
                        let (count, metrics) = (&mut self.connections, &self.node.metrics);
                        let next = Pending::new(count, taken, (codec, kind), metrics);
                        self.take_over(next).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Err(error) => {
                tokio::spawn(caller.refuse(Refused::Forbidden, error.to_string()));
                Err(error)
            }
        };
        if let Err(error) = accepted {
            tracing::info!(%error, "viewer refused");
        }
    }

    /// What the session is coded in, if this client decodes that. Nobody is coded for but the player.
    async fn coded_for(&mut self, decodes: Decodes) -> Result<Coded, ConnectError> {
        let known = |stream: &Stream| stream.codec.is_some() || stream.ended.is_some();
        let waited = tokio::time::timeout(ENCODER_WAIT, self.stream.wait_for(known)).await;
        let Ok(Ok(stream)) = waited else {
            return Err(ConnectError::Failed("the session has no picture yet".into()));
        };
        let kind = stream.kind;
        let Some(codec) = stream.codec.filter(|_| stream.ended.is_none()) else {
            return Err(ConnectError::Ended);
        };
        let (set, bits) = match kind.format.depth() {
            media::BitDepth::Eight => (decodes.eight, 8),
            media::BitDepth::Ten => (decodes.ten, 10),
        };
        if set.contains(codec) {
            return Ok((codec, kind));
        }
        Err(ConnectError::Unusable(format!(
            "the session is coded in {} with {bits} bits a sample for its player, which this client does not \
             decode",
            codec.rtp_name(),
        )))
    }

    /// Serves this connection from now on.
    async fn take_over(&mut self, Pending { connection, media: told }: Pending<Coded>) {
        self.stand_up();
        if self.told.is_some() {
            // What the client before held nobody holds any more, and this one may count from one.
            self.newest_input = InputSeq::default();
            self.lets_go().await;
        }
        self.audience.sound().renew(self.who);
        let now = self.node.clock.now();
        (self.connection, self.pending) = (Some(connection), None);
        (self.told, self.connected, self.greeted, self.visible) = (Some(told), false, false, true);
        self.client.reset(now);
        self.client.encoder_opened(self.stream.borrow().encoder, told.0);
        self.rates.renew(now);
        self.set_pacing();
        // Nobody may connect and say nothing for ever; the transport's own limits are shorter.
        self.deadline = Some(now + self.node.config.sessions.connect.get());
        self.show_status();
    }

    /// A co-player holds nothing any more; nothing older counts.
    pub(super) async fn lets_go(&mut self) {
        if self.role.plays() {
            let release = SequencedInput { seq: self.newest_input, event: InputEvent::ReleaseAll };
            self.audience.does(self.who, release, DataChannel::Input).await;
        }
    }

    /// Units and sound come from now on.
    pub(super) fn sit_down(&mut self) {
        let (Some(connection), Some(told)) = (&mut self.connection, self.told) else { return };
        if self.connected && self.visible {
            let sink = self.rates.gated(connection.video_sink(), self.node.clock.clone());
            self.audience.seat(self.who, sink, told, self.counts.clone());
            self.audience.sound().listen(self.who, connection.audio_sink());
        }
    }

    /// And no more.
    pub(super) fn stand_up(&mut self) {
        self.audience.unseat(self.who);
        self.audience.sound().silence(self.who);
    }

    pub(super) async fn follow_stream(&mut self) {
        let stream = self.stream.borrow_and_update().clone();
        if let Some(over) = stream.ended {
            return self.end(over);
        }
        let now = stream.codec.map(|codec| (codec, stream.kind));
        if self.told.is_some() && now.is_some() && now != self.told && self.connection.is_some() {
            // A connection has one codec: the client comes again, and is told the new one.
            tracing::info!("the session is coded otherwise: the viewer is to connect anew");
            self.stand_up();
            (self.connection, self.pending) = (None, None);
            return self.away(self.node.config.sessions.reconnect.get()).await;
        }
        if let Some((codec, _)) = now {
            self.client.encoder_opened(stream.encoder, codec);
        }
        self.client.resized(stream.size);
        self.greet();
    }

    /// Nobody is connected, and nothing is held: the place is kept for so long.
    pub(super) async fn away(&mut self, patience: Duration) {
        self.connected = false;
        self.told = None;
        self.audience.set_present(self.who, None);
        self.deadline = Some(self.node.clock.now() + patience);
        self.show_status();
        if self.role.plays() {
            self.audience.leaves(self.who).await;
        }
    }
}
