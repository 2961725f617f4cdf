//! Clients that come: what each is answered, and the encoders that it gets.

use media::{Bitrate, InputSeq, TransportEvent};
use session::hands::PLAYER;
use session::machine::{Event, Phase};
use session::rate::Part;
use tracing::Instrument as _;
use transport::Decodes;

use super::{Driver, names};
use crate::apps::VideoMode;
use crate::caller::{Caller, Refused};
use crate::drive::answer::{self, ForClient, Taken, Used};
use crate::drive::connection::{Connection, Pending};
use crate::encoders::EncoderSession;
use crate::registry::{Answer, Asked, Command, ConnectError};

impl Driver {
    pub(super) async fn command(&mut self, command: Command) {
        match command {
            Command::Connect(offer, race, reply) => {
                let answered = self.connect(&offer, race).await;
                if let Err(error) = &answered {
                    tracing::info!(%error, "offer refused");
                }
                let _ = reply.send(answered);
            }
            Command::Accept(caller, asked) => self.accept(caller, asked),
            Command::Trickle(name, fragment, reply) => {
                let pending = self.pending.iter().map(|it| &it.connection);
                let known = self.connection.iter().chain(pending);
                let _ = reply.send(Connection::trickle(known, &name, &fragment));
            }
            Command::Stop(by) => self.tell(Event::StopRequested(by)),
        }
    }

    async fn connect(&mut self, offer: &str, race: Option<u32>) -> Result<Answer, ConnectError> {
        if matches!(self.machine.phase(), Phase::Ending | Phase::Ended) {
            return Err(ConnectError::Ended);
        }
        if self.is_outrun(race) {
            return Err(ConnectError::Outrun);
        }
        let media = answer::decodes(offer).and_then(|decodes| self.choose(decodes))?;
        let (codec, depth) = media.coded();
        let sound = self.audience.sound().is_offered();
        let way = answer::Way { sound, microphone: self.voice.is_allowed() };
        let (taken, answer) = answer::answer(&self.node, codec, depth, way, (offer, race)).await?;
        let pending = Pending::new(&mut self.connections, taken, media, &self.node.metrics);
        let connection = pending.connection.name().to_owned();
        if self.connection.as_ref().is_some_and(Connection::plays) {
            self.pending = Some(pending);
            self.show_status();
        } else {
            self.take_over(pending);
        }
        Ok(Answer { connection, sdp: answer.sdp })
    }

    /// What the connection that is to take over says: nothing but that its client is reached, or cannot be.
    pub(super) fn pending_event(&mut self, event: TransportEvent) {
        match event {
            // A channel may open a moment before the connection counts as up.
            TransportEvent::Connected { .. } | TransportEvent::ChannelOpen(_) => {
                self.change_over();
                self.transport_event(event);
            }
            TransportEvent::Closed(reason) => {
                tracing::info!(%reason, "not connected, the connection before goes on");
                if let Some(pending) = self.pending.take() {
                    self.node.metrics.connection_closed(pending.connection.by(), &reason);
                }
                self.show_status();
            }
            _ => {}
        }
    }

    /// Lets the connection take over that is to, if there is one.
    pub(super) fn change_over(&mut self) -> bool {
        let Some(pending) = self.pending.take() else { return false };
        self.take_over(pending);
        true
    }

    /// Whether the client is served by another connection of this race.
    fn is_outrun(&self, race: Option<u32>) -> bool {
        self.connection.as_ref().is_some_and(|it| it.outran(race))
    }

    /// The client learns the outcome by its connection.
    fn accept(&mut self, caller: Caller, Asked { decodes, race }: Asked) {
        if matches!(self.machine.phase(), Phase::Ending | Phase::Ended) {
            tokio::spawn(caller.refuse(Refused::Over, "the session is over".into()));
            return;
        }
        if self.is_outrun(race) {
            tokio::spawn(caller.refuse(Refused::Busy, ConnectError::Outrun.to_string()));
            return;
        }
        match self.choose(decodes) {
            Ok(media) => match media.coded() {
                (Some(codec), depth) => {
                    let (node, video) = (self.node.clone(), self.shown());
                    let accept = async move {
                        let taken =
                            answer::accept(&node, video, codec, depth, (caller, race)).await;
                        taken.map(|taken| (taken, media))
                    };
                    self.accepting.abort_all();
                    self.accepting.spawn(accept.in_current_span());
                }
                (None, _) => tracing::error!("client refused: no encoder was chosen"),
            },
            Err(error) => {
                tracing::info!(%error, by = caller.by(), "client refused");
                tokio::spawn(caller.refuse(Refused::Forbidden, error.to_string()));
            }
        }
    }

    pub(super) fn accepted(&mut self, accepted: Result<(Taken, ForClient), ConnectError>) {
        match accepted {
            // The session may have begun to end meanwhile; the connection closes with its drop.
            Ok(_) if matches!(self.machine.phase(), Phase::Ending | Phase::Ended) => {}
            // So may another one have been connected.
            Ok((taken, _)) if self.is_outrun(taken.race) => {}
            Ok((taken, media)) => {
                let next = Pending::new(&mut self.connections, taken, media, &self.node.metrics);
                self.take_over(next);
            }
            Err(error) => tracing::info!(%error, "client refused"),
        }
    }

    fn choose(&self, decodes: Decodes) -> Result<ForClient, ConnectError> {
        let used = Used { holds: self.holds(), broke: &self.broke };
        answer::choose(&self.node, self.shown(), self.hdr, decodes, used)
    }

    /// The pictures that there is room for: a larger screen may be wanted.
    fn shown(&self) -> VideoMode {
        let size = self.booking.as_ref().map_or(self.video.size, |booking| booking.booked());
        VideoMode { size, ..self.video }
    }

    /// Serves a client from now on, whatever it came by.
    fn take_over(&mut self, Pending { connection, media }: Pending<ForClient>) {
        self.audience.sound().silence(PLAYER);
        self.audience.sound().renew(PLAYER);
        self.voice.off();
        // A client that comes back takes the place of its old self.
        if let Some(media) = &self.media {
            media.send_to(None);
        }
        self.past_client = None;
        self.use_encoders(media);
        // The client may count from one.
        self.player_lets_go(InputSeq::default());
        let now = self.node.clock.now();
        self.client.reset(now);
        (self.greeted, self.follows) = (false, false);
        // What the one before wanted is not what this one wants.
        let granted = self.client.granted().0;
        self.rates.limit(Bitrate::from_kbps(granted.into()), Part::WHOLE);
        self.rates.renew(now);
        (self.connection, self.pending) = (Some(connection), None);
        if let Some(media) = &self.media {
            media.set_frame_rate(self.rates.frame_rate(now));
            media.set_size(Part::WHOLE);
        }
        self.set_rates(now);
        self.show_status();
    }

    /// The encoder in use.
    fn holds(&self) -> Option<&'static str> {
        self.encoder_session.as_ref().map(EncoderSession::name)
    }

    /// Codes for another client, or for one that comes back: its picture begins anew in any case. What is
    /// in use and is the best for it stays; else a better one works again, or has a session again.
    fn use_encoders(&mut self, chosen: ForClient) {
        let ForClient { kind, choice, encoders, hdr_declined } = chosen;
        self.client.encoders_chosen(choice, hdr_declined);
        let given = (kind, names(&encoders));
        let fell_back = self.holds().is_some_and(|used| given.1.first() != Some(&used));
        if (given != self.encoders || fell_back)
            && let Some(media) = &self.media
        {
            media.use_encoders(encoders, kind);
            self.encoders = given;
        }
    }
}
