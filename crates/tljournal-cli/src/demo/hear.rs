//! Collects the engine's log events: waits, and recovered transactions.

use std::fmt::Debug;
use std::time::Instant;

use tljournal_testkit::{Tell, tell};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Installs the subscriber.
pub(super) fn start() {
    // Only one can be set; without it less is reported.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Ear));
}

struct Ear;

struct Begun(Instant);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ear {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == "lock_wait"
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(Begun(Instant::now()));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let begun = context
            .span(&id)
            .and_then(|span| span.extensions_mut().remove::<Begun>());
        if let Some(Begun(at)) = begun {
            // The demo may have ended.
            let _ = tell(&Tell::Waited(at.elapsed()));
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if message.0 == "finishing" {
            let (finished, rolled_back) = (1, 0);
            let _ = tell(&Tell::Recovered {
                finished,
                rolled_back,
            });
        }
    }
}

/// The text of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
