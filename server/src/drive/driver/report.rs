//! What the session's own threads say.

use encoder::WorkerEvent;
use media::{InputEvent, SequencedInput};
use session::machine::{Event, Phase};

use super::Driver;
use super::rumble::Wishes;
use crate::drive::media_side::Report;
use crate::drive::source::SourceReport;
use crate::wire;

impl Driver {
    pub(super) fn report(&mut self, report: Report) {
        let event = match report {
            Report::Source(SourceReport::Opened { mut input, sound, rumble, voice, resizes }) => {
                self.voice.opened(voice);
                self.audience.sound().opened(sound, self.node.clock.clone());
                match self.told.kind.get() {
                    Some(wire::StartKind::Warm) => _ = self.node.metrics.ahead_hits.inc(),
                    _ if self.ahead => self.node.metrics.ahead_missed("failed"),
                    _ => {}
                }
                let (now, seq) = (self.node.clock.now(), self.newest_input);
                // Those that were plugged in meanwhile.
                for (pad, plugged) in self.hands.plugged() {
                    let event = InputEvent::GamepadPlugged { pad, plugged };
                    input.inject(&SequencedInput { seq, event }, now);
                }
                self.audience.set_takes(input.support().into());
                self.input = Some(input);
                self.rumble = rumble.map(Wishes::new);
                self.rates.set_resizes(resizes && !self.barcode);
                // What it began with, and what it takes, is known now.
                self.greet_again();
                self.started()
            }
            Report::Source(SourceReport::OpenFailed(error)) => {
                Some(Event::StartFailed(error.to_string()))
            }
            Report::Source(SourceReport::DeviceLost(why)) => {
                tracing::warn!(why, "graphics device lost");
                Some(Event::DeviceLost)
            }
            Report::Source(SourceReport::DeviceBack) => Some(Event::DeviceBack),
            Report::Source(SourceReport::Resized(size)) => {
                // The encoder follows the picture that it is given.
                if let Some(left_out) = self.log.passes(self.node.clock.now()) {
                    tracing::info!(%size, left_out, "source resized");
                }
                self.rates.on_resized(size);
                self.audience.change_stream(|stream| stream.size = size);
                self.client.resized(size);
                self.greet_again();
                None
            }
            Report::Source(SourceReport::Ended) => Some(Event::SourceEnded),
            Report::Source(SourceReport::Exited(exited)) => Some(Event::SourceExited(exited)),
            Report::Source(SourceReport::Failed(why)) => Some(match self.machine.phase() {
                Phase::Starting => Event::StartFailed(why),
                _ => Event::SourceFailed(why),
            }),
            Report::Source(SourceReport::Panicked(why)) => Some(Event::Panicked(why)),
            Report::Stopped => Some(Event::Drained),
            Report::Encoder(WorkerEvent::Opened(capabilities)) => {
                self.encoder_up = true;
                self.encoder_session = Some(self.node.encoder_session(capabilities.name));
                self.client.encoder_opened(capabilities.name, capabilities.codec);
                let kind = self.encoders.0;
                self.audience.change_stream(|stream| {
                    stream.codec = Some(capabilities.codec);
                    (stream.kind, stream.encoder) = (kind, capabilities.name);
                });
                // Said before the encoder was up, or another encoder took its place.
                self.greet_again();
                self.started()
            }
            Report::Encoder(WorkerEvent::FellBack { name, reason }) => {
                tracing::warn!(encoder = name, reason, "encoder given up, the next one is tried");
                self.client.encoder_given_up(name, &reason);
                self.encoder_session = None;
                self.node.encoders.broke(name, &mut self.broke);
                self.node.try_encoders_again(&[name]);
                None
            }
            Report::Encoder(WorkerEvent::NoSession { name, reason, open }) => {
                tracing::warn!(
                    encoder = name,
                    open,
                    reason,
                    "no session left, the next one is tried"
                );
                self.client.encoder_given_up(name, &reason);
                // What it had before is gone since before it asked: said later, that would count as room.
                self.encoder_session = None;
                self.node.encoder_session_refused(name, open);
                None
            }
            Report::Encoder(WorkerEvent::PassedOver { name, reason, open }) => {
                tracing::info!(encoder = name, reason, "encoder passed over at this size");
                self.client.encoder_given_up(name, &reason);
                // The one that is in use may still be another.
                self.encoder_session.take_if(|session| session.name() == name);
                if let Some(open) = open {
                    self.node.encoder_session_refused(name, open);
                }
                None
            }
            Report::Encoder(WorkerEvent::SizeRefused { size, reason }) => {
                tracing::warn!(%size, reason, "no encoder takes pictures of this size");
                self.client.size_refused(Some((size, reason)));
                self.greet_again();
                None
            }
            Report::Encoder(WorkerEvent::SizeRefusalEnded) => {
                self.client.size_refused(None);
                self.greet_again();
                None
            }
            Report::Encoder(WorkerEvent::Failed(why)) => Some(Event::EncoderFailed(why)),
            Report::Encoder(WorkerEvent::Panicked(why)) => Some(Event::Panicked(why)),
            Report::Encoder(event) => {
                tracing::warn!(?event, "encoder");
                None
            }
        };
        if let Some(event) = event {
            self.tell(event);
        }
    }

    fn started(&self) -> Option<Event> {
        (self.encoder_up && self.input.is_some()).then_some(Event::Started)
    }
}
