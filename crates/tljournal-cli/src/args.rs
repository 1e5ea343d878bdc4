//! The command line.

use camino::Utf8PathBuf;
use clap::{ArgAction, Args, CommandFactory, Parser};
use std::time::Duration;
use tljournal::NamedPath;

use crate::commands::{Command, fsck};
use crate::exit::Exit;
use crate::output;

const ABOUT: &str =
    "A transactional journal that keeps a build directory consistent across kills and power cuts.";

const AFTER: &str = "\
PATH is relative to the root, or absolute and below it; FILE and SRC are relative
to the current directory.
Each command's exit status is at the end of its own --help.";

/// A whole command line.
#[derive(Debug, Parser)]
#[command(name = "tljournal", version, about = ABOUT, after_help = AFTER)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The project root; by default the nearest directory upward with a journal, or else with a home
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<Utf8PathBuf>,
    /// The directory of the journal, relative to the root
    #[arg(long, global = true, value_name = "DIR", default_value = "build")]
    pub(crate) home: Utf8PathBuf,
    /// Allow changes at and below this path of the root only; may be repeated
    #[arg(long, global = true, value_name = "PATH", action = ArgAction::Append)]
    pub(crate) territory: Vec<NamedPath>,
    /// Give up after waiting this long for a lock [default: wait for ever]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) lock_wait: Option<Duration>,
    /// Never keep replaced content of these paths, in addition to the usual private keys; may be repeated. `NAME/` is
    /// a directory at any depth, `*END` a suffix, and NAME the name of a file
    #[arg(long, global = true, value_name = "PATTERN", action = ArgAction::Append, env = "TLJOURNAL_NEVER_KEEP", value_delimiter = ',')]
    pub(crate) never_keep: Vec<String>,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing except errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log to standard error; more with -vv and -vvv
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The options of all commands that change something.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// The label of the transaction in the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Option<String>,
    /// Exit with 1 if nothing had to be changed
    #[arg(long)]
    pub(crate) exit_code: bool,
}

/// Parses the command line, or returns how to exit: after help, version or a usage error.
pub(crate) fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|error| {
        let asked = !error.use_stderr();
        let json = std::env::args_os().any(|arg| arg == "--json");
        if json && !asked {
            output::print_usage_error(&error.to_string(), wrong_usage());
        } else {
            let text = error.render().ansi().to_string();
            match asked {
                true => _ = output::to_stdout(&text),
                false => output::to_stderr(&text),
            }
        }
        if asked { Exit::Done } else { wrong_usage() }
    })
}

/// The exit for a usage error: for a command that runs another one, 2 could be the exit code of that one.
fn wrong_usage() -> Exit {
    let lenient = Cli::command().ignore_errors(true);
    let found = lenient.try_get_matches().ok();
    let name = found.as_ref().and_then(|found| found.subcommand_name());
    match name {
        Some("exec" | "pin" | "populate") => Exit::Passed(125),
        Some("fsck") => fsck::USAGE,
        _ => Exit::Usage,
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "not a length of time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_documents_its_exit_status_and_has_examples_that_can_be_typed() {
        /// Checks that the examples can be parsed; returns how many there are.
        fn examples(help: &str) -> usize {
            let examples = help.split("Exit status:").next().unwrap_or_default();
            let mut lines = examples.split("\\\n");
            let first = lines.next().unwrap_or_default().to_owned();
            let examples = lines.fold(first, |whole, line| whole + line.trim_start());
            let typed = examples
                .lines()
                .filter(|line| line.starts_with("  tljournal "));
            let read = |line: &str| {
                let end = [" <", " >", " |", "  "]
                    .iter()
                    .filter_map(|end| line[2..].find(end))
                    .min();
                let line = end.map_or(line, |end| &line[..end + 2]);
                // A quoted text is one word.
                let parts = line.trim().split(['\'', '"']).enumerate();
                let words = parts.map(|(n, part)| match n % 2 {
                    0 => part.to_owned(),
                    _ => part.replace(' ', "_"),
                });
                let words: String = words.collect();
                let read = Cli::try_parse_from(words.split_whitespace());
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
            };
            typed.map(read).count()
        }

        fn check(command: &clap::Command) {
            let leaf = command.get_subcommands().next().is_none();
            let help = command.get_after_help().map(ToString::to_string);
            let told = help.unwrap_or_default();
            let name = command.get_name();
            assert!(!leaf || told.contains("Exit status:"), "{name}");
            assert!(
                !leaf || command.is_hide_set() || examples(&told) > 0,
                "{name}"
            );
            command.get_subcommands().for_each(check);
        }
        Cli::command().get_subcommands().for_each(check);
    }

    #[test]
    fn a_wait_is_a_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "-1", "nan", "inf", "1e300", "x"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
