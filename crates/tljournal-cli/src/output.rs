//! Where output goes: results to standard output, everything else to standard error.

use std::io::{self, BufWriter, Write};

use anstyle::{AnsiColor, Style};
use camino::Utf8Path;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::hint;
use crate::progress;
use crate::safe::{Safe, escaped_json, escaped_text};
use crate::text::clean;

/// The version of all JSON output.
pub(crate) const SCHEMA: u32 = 1;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// Whether progress is shown.
    pub(crate) fn shows_progress(self) -> bool {
        !self.json && !self.quiet
    }

    /// Prints a result, as JSON or for people, and adds the version to the JSON object.
    ///
    /// A closed output is not a failure: `tljournal log | head -1` has what it wanted.
    pub(crate) fn result(
        self,
        json: impl FnOnce() -> Value,
        human: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        let stdout = anstream::stdout().lock();
        let safe = match self.json {
            true => Safe::json(stdout),
            false => Safe::text(stdout),
        };
        let mut out = BufWriter::new(safe);
        let printed = if self.json {
            versioned(&mut out, json())
        } else {
            human(&mut out)
        };
        match printed.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // The rest of the buffer must not be written again on drop.
                let _ = out.into_parts();
                Ok(())
            }
            printed => printed.map_err(|source| Failure::io("write to standard output", source)),
        }
    }

    /// Prints a note on standard error that is neither a result nor a failure.
    pub(crate) fn note(self, style: Style, word: &str, text: &str) {
        if self.quiet {
            return;
        }
        let line = if self.json {
            let note = json!({"kind": word, "message": text});
            return json_to_stderr(&json!({"schema": SCHEMA, "note": note}));
        } else {
            format!("tljournal: {style}{word}:{style:#} {}\n", clean(text))
        };
        to_stderr(&line);
    }

    /// Prints why a command failed, a hint, and the command that investigates it.
    pub(crate) fn fail(
        self,
        failure: &Failure,
        exit: Exit,
        home: Option<&Utf8Path>,
        look_into: Option<String>,
    ) -> Exit {
        let causes = failure.causes();
        let hint = hint::for_failure(failure, home);
        if self.json {
            let error = json!({
                "code": exit.code(),
                "kind": Exit::of(failure).word(),
                "message": failure.to_string(),
                "causes": causes,
                "hint": hint,
                "postmortem": look_into,
            });
            json_to_stderr(&json!({"schema": SCHEMA, "error": error}));
            return exit;
        }
        let chain = std::iter::once(failure.to_string()).chain(causes);
        let chain: Vec<_> = chain.map(|text| clean(&text)).collect();
        let mut said = format!("{BAD}tljournal:{BAD:#} {}\n", chain.join(": "));
        if let Some(hint) = hint {
            said.push_str(&format!("{WARN}hint:{WARN:#} {}\n", clean(&hint)));
        }
        if let Some(command) = look_into {
            said.push_str(&format!(
                "{WARN}hint:{WARN:#} investigate with: {}\n",
                clean(&command)
            ));
        }
        to_stderr(&said);
        exit
    }
}

/// Prints a usage error as JSON.
pub(crate) fn print_usage_error(text: &str, exit: Exit) {
    let message = text.trim_end().trim_start_matches("error: ");
    let error = json!({"code": exit.code(), "kind": Exit::Usage.word(), "message": message, "causes": [], "hint": null, "postmortem": null});
    json_to_stderr(&json!({"schema": SCHEMA, "error": error}));
}

/// Writes to standard error at once; errors are ignored.
pub(crate) fn to_stderr(text: &str) {
    let text = escaped_text(text);
    progress::aside(|| {
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    });
}

/// The same with a JSON object, as one line.
pub(crate) fn json_to_stderr(value: &Value) {
    to_stderr(&format!("{}\n", escaped_json(&value.to_string())));
}

/// Writes to standard output at once; false if the reader is gone.
pub(crate) fn to_stdout(text: &str) -> bool {
    let text = escaped_text(text);
    progress::aside(|| {
        let mut out = anstream::stdout().lock();
        let written = out.write_all(text.as_bytes());
        written.and_then(|()| out.flush()).is_ok()
    })
}

fn versioned(out: &mut dyn Write, value: Value) -> io::Result<()> {
    let mut value = value;
    if let Value::Object(fields) = &mut value {
        fields.insert("schema".to_owned(), SCHEMA.into());
    }
    writeln!(out, "{value}")
}
