//! Prints the engine's log on standard error.
//!
//! Warnings (such as the holder of an awaited lock) are always shown, more with `-v`, none with `-q`.

use std::fmt;

use anstyle::Style;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{FmtSpan, Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::args::Global;
use crate::output::{self, BAD, DIM, GOOD, SCHEMA, WARN};
use crate::safe::escaped_json;
use crate::text::clean;

/// Starts printing.
pub(crate) fn start(global: &Global) {
    if global.quiet {
        return;
    }
    let level = match global.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    // The end of a span shows its duration.
    let spans = match global.verbose {
        0 => FmtSpan::NONE,
        _ => FmtSpan::CLOSE,
    };
    let fields = debug_fn(|writer, field, value| {
        let value = clean(&format!("{value:?}"));
        match field.name() {
            "message" => write!(writer, "{}", value.trim_matches('"')),
            name => write!(writer, "{name}={value}"),
        }
    })
    .delimited(" ");
    let subscriber = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_max_level(level)
        .with_span_events(spans)
        .fmt_fields(fields)
        .event_format(Line { json: global.json })
        .with_writer(Stderr)
        .finish();
    // Only one can be set.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Formats an event as one line: with its spans for people, or as a JSON object.
struct Line {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = String::new();
        context.format_fields(Writer::new(&mut said), event)?;
        let mut spans = String::new();
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            spans.push_str(span.name());
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                spans.push_str(&format!("{{{fields}}}"));
            }
            spans.push_str(": ");
        }
        let (style, word) = look(*event.metadata().level());
        if self.json {
            let spans = spans.trim_end_matches(": ");
            let note = serde_json::json!({"kind": word, "message": said, "in": spans});
            let line = serde_json::json!({"schema": SCHEMA, "note": note});
            return writeln!(writer, "{}", escaped_json(&line.to_string()));
        }
        // A warning has no target, unless more details were requested.
        match *event.metadata().level() {
            Level::ERROR | Level::WARN => {
                writeln!(writer, "tljournal: {style}{word}:{style:#} {said}")
            }
            _ => writeln!(
                writer,
                "tljournal: {style}{word}:{style:#} {DIM}{spans}{DIM:#}{said}"
            ),
        }
    }
}

fn look(level: Level) -> (Style, &'static str) {
    match level {
        Level::ERROR => (BAD, "error"),
        Level::WARN => (WARN, "warning"),
        Level::INFO => (GOOD, "info"),
        Level::DEBUG => (DIM, "debug"),
        Level::TRACE => (DIM, "trace"),
    }
}

/// Standard error, with colours if supported, written around a progress bar.
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;
    fn make_writer(&'a self) -> Self::Writer {
        Self
    }
}

impl std::io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        output::to_stderr(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
