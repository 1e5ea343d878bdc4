use std::collections::HashMap;
use std::io::Write;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use sha2::{Digest as _, Sha256};
use tljournal::{ChangeRecord, EventRecord, History, RunId, RunRecord, TxnRecord, TxnState};

use super::spans::{end, phases, unsigned_nanos, waited_since};
use super::{RunLife, Sink, unwritten};
use crate::commands::views::{outermost, run_name};
use crate::ending::End;
use crate::failure::Failure;

/// The number of spans per batch.
const BATCH: usize = 512;
/// The limits of events per span, and of changes listed with it.
const EVENTS_MAX: usize = 128;
const CHANGES_MAX: usize = 32;

/// The receiver of batches.
pub(crate) type Batches<'a> = dyn FnMut(ExportTraceServiceRequest) -> Result<(), Failure> + 'a;

/// OpenTelemetry traces: a span for each run, below it one for each transaction, below that one for each phase. All
/// ids are derived from the journal's ids: a repeated export has the same spans.
pub(crate) struct Otlp<'a> {
    history: &'a History<'a>,
    shown: &'a dyn Fn(&ChangeRecord) -> String,
    send: &'a mut Batches<'a>,
    /// The latest run with its span, which collects its events.
    run: Option<(RunLife, Span)>,
    spans: Vec<Span>,
    traces: HashMap<RunId, Vec<u8>>,
    /// The number of running runs, which have no span yet.
    pub(crate) at_work: usize,
}

/// Writes a batch as one line of OTLP/JSON.
pub(crate) fn write_line(
    out: &mut dyn Write,
    batch: &ExportTraceServiceRequest,
) -> Result<(), Failure> {
    let written = serde_json::to_writer(&mut *out, batch).map_err(std::io::Error::from);
    written
        .and_then(|()| out.write_all(b"\n"))
        .map_err(unwritten)
}

impl<'a> Otlp<'a> {
    /// Passes batches to `send`; `shown` formats paths.
    pub(crate) fn new(
        history: &'a History<'a>,
        shown: &'a dyn Fn(&ChangeRecord) -> String,
        send: &'a mut Batches<'a>,
    ) -> Self {
        Self {
            history,
            shown,
            send,
            run: None,
            spans: Vec::new(),
            traces: HashMap::new(),
            at_work: 0,
        }
    }

    /// Sends the collected spans. A batch belongs to one run, so that its resource is that run's host.
    fn flush(&mut self) -> Result<(), Failure> {
        let Some((life, _)) = &self.run else {
            return Ok(());
        };
        if self.spans.is_empty() {
            return Ok(());
        }
        let scope = ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "tljournal".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            spans: std::mem::take(&mut self.spans),
            ..ScopeSpans::default()
        };
        let batch = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource(&life.run)),
                scope_spans: vec![scope],
                ..ResourceSpans::default()
            }],
        };
        (self.send)(batch)
    }

    /// Ends the latest run: sends its span with the rest.
    fn end_run(&mut self) -> Result<(), Failure> {
        if let Some((_, span)) = &mut self.run {
            let span = std::mem::take(span);
            self.spans.push(span);
            self.flush()?;
        }
        self.run = None;
        Ok(())
    }

    /// The trace of a run: that of the outermost run around it.
    fn trace_of(&mut self, run: &RunRecord) -> Result<Vec<u8>, Failure> {
        let Some(parent) = run.parent else {
            return Ok(id_bytes(&run.id.to_string()));
        };
        if let Some(trace) = self.traces.get(&parent) {
            return Ok(trace.clone());
        }
        let outermost = outermost(self.history, run)?;
        // The outermost run may be below a run without a row.
        let id = outermost.parent.unwrap_or(outermost.id);
        let trace = id_bytes(&id.to_string());
        self.traces.insert(parent, trace.clone());
        Ok(trace)
    }
}

impl Sink for Otlp<'_> {
    fn run(&mut self, life: &RunLife) -> Result<(), Failure> {
        self.end_run()?;
        if life.alive {
            self.at_work += 1;
            return Ok(());
        }
        let run = &life.run;
        let id = run.id.to_string();
        let span = Span {
            trace_id: self.trace_of(run)?,
            span_id: span_id(&id, "run"),
            parent_span_id: run
                .parent
                .map(|parent| span_id(&parent.to_string(), "run"))
                .unwrap_or_default(),
            name: run_name(run),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: unsigned_nanos(run.started_at),
            end_time_unix_nano: unsigned_nanos(life.until),
            attributes: run_attributes(run),
            status: Some(status_of(run)),
            ..Span::default()
        };
        let run = run.clone();
        self.run = Some((RunLife { run, ..*life }, span));
        Ok(())
    }

    fn event(&mut self, event: &EventRecord) -> Result<(), Failure> {
        let Some((_, span)) = &mut self.run else {
            return Ok(());
        };
        if span.events.len() == EVENTS_MAX {
            span.dropped_events_count += 1;
            return Ok(());
        }
        let mut attributes = vec![text("detail", &event.detail)];
        attributes.extend(event.path.as_deref().map(|path| text("path", path)));
        attributes.extend(event.txn.map(|txn| number("transaction", txn)));
        if let Some(since) = waited_since(event) {
            let waited = event.at.as_nanos() - since.as_nanos();
            attributes.push(number("waited_ms", (waited / 1_000_000) as i64));
        }
        span.events.push(Event {
            time_unix_nano: unsigned_nanos(event.at),
            name: event.kind.as_str().to_owned(),
            attributes,
            ..Event::default()
        });
        Ok(())
    }

    fn txn(&mut self, txn: &TxnRecord, changes: &[ChangeRecord]) -> Result<(), Failure> {
        let Some((life, run)) = &self.run else {
            return Ok(());
        };
        let id = txn.id.to_string();
        let (trace_id, own) = (run.trace_id.clone(), span_id(&id, "transaction"));
        let until = life.until;
        let span = Span {
            trace_id: trace_id.clone(),
            span_id: own.clone(),
            parent_span_id: run.span_id.clone(),
            name: txn.label.clone(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: unsigned_nanos(txn.began_at),
            end_time_unix_nano: unsigned_nanos(end(txn, until)),
            attributes: txn_attributes(txn, changes, self.shown),
            dropped_attributes_count: 0,
            status: Some(outcome(
                txn.state == TxnState::Applied,
                txn.reason.as_deref(),
            )),
            ..Span::default()
        };
        let phases = phases(txn, until).into_iter().map(|phase| Span {
            trace_id: trace_id.clone(),
            span_id: span_id(&id, phase.name),
            parent_span_id: own.clone(),
            name: phase.name.to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: unsigned_nanos(phase.from),
            end_time_unix_nano: unsigned_nanos(phase.to),
            ..Span::default()
        });
        self.spans.extend(phases);
        self.spans.push(span);
        match self.spans.len() >= BATCH {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.end_run()
    }
}

/// The host and the service; the same for all runs of one host.
fn resource(run: &RunRecord) -> Resource {
    Resource {
        attributes: vec![
            text("service.name", "tljournal"),
            text("service.version", &run.version),
            text("host.name", &run.host),
            text("os.type", "linux"),
        ],
        ..Resource::default()
    }
}

fn run_attributes(run: &RunRecord) -> Vec<KeyValue> {
    let mut attributes = vec![
        number("tljournal.run.number", run.number),
        text("tljournal.run.id", &run.id.to_string()),
        number("process.pid", run.pid.into()),
        text("process.command_line", &run.argv),
        text("process.working_directory", &run.cwd),
        number("process.user.id", run.uid.into()),
    ];
    let some = [
        ("process.owner", &run.account),
        ("tljournal.run.container", &run.container),
        ("tljournal.run.outcome", &run.outcome),
        ("tljournal.run.log", &run.log),
    ];
    for (key, value) in some {
        attributes.extend(value.as_deref().map(|value| text(key, value)));
    }
    attributes
}

fn txn_attributes(
    txn: &TxnRecord,
    changes: &[ChangeRecord],
    shown: &dyn Fn(&ChangeRecord) -> String,
) -> Vec<KeyValue> {
    let mut attributes = vec![
        number("tljournal.transaction.number", txn.number),
        text("tljournal.transaction.id", &txn.id.to_string()),
        text("tljournal.transaction.state", txn.state.as_str()),
        number("tljournal.changes.count", changes.len() as i64),
    ];
    let numbers = [
        ("tljournal.transaction.commit_no", txn.commit_no),
        ("tljournal.transaction.undoes", txn.undoes),
    ];
    for (key, value) in numbers {
        attributes.extend(value.map(|value| number(key, value)));
    }
    let named = changes.iter().take(CHANGES_MAX).map(|change| AnyValue {
        value: Some(Value::StringValue(format!(
            "{} {}",
            change.op.as_str(),
            shown(change)
        ))),
    });
    let values = named.collect();
    attributes.push(attribute(
        "tljournal.changes",
        Value::ArrayValue(ArrayValue { values }),
    ));
    attributes
}

fn status_of(run: &RunRecord) -> Status {
    let well = !End::of(run, Some(true)).is_bad();
    let why = run.error.as_deref().or(run.outcome.as_deref());
    outcome(well, why)
}

fn outcome(well: bool, why: Option<&str>) -> Status {
    match well {
        true => Status::default(),
        false => Status {
            code: StatusCode::Error.into(),
            message: why.unwrap_or_default().to_owned(),
        },
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// The sixteen bytes of an id.
fn id_bytes(id: &str) -> Vec<u8> {
    let digits: Vec<_> = id.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
    let byte = |pair: &[u8]| pair.iter().fold(0, |byte, own| byte << 4 | digit(*own));
    digits.chunks(2).map(byte).collect()
}

/// Eight bytes derived from an id and the kind of span.
fn span_id(id: &str, what: &str) -> Vec<u8> {
    let digest = Sha256::digest(format!("{id} {what}"));
    digest.iter().take(8).copied().collect()
}
