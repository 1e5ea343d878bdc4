use camino::{Utf8Path, Utf8PathBuf};
use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::outfile;

const EXAMPLE: &str = "\
Examples:
  tljournal man | man -l -
  tljournal man fsck | man -l -
  tljournal man --dir ~/.local/share/man/man1
";

/// Print the manual page of a command, or write all pages
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_TEXTS))]
pub(crate) struct Args {
    /// The command, such as `fsck` or `tree install`; without one the page of tljournal itself
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write a file for each command into this existing directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<Utf8PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut top = Cli::command();
    top.build();
    if let Some(dir) = &args.dir {
        write_all(&top, dir)?;
        return Ok(Exit::Done);
    }
    let mut command = &top;
    for word in &args.command {
        command = command.find_subcommand(word).ok_or_else(|| {
            let word = word.escape_debug();
            Failure::Usage(format!(
                "there is no command `{word}`; `tljournal --help` lists them"
            ))
        })?;
    }
    let page = page(command)?;
    outfile::write_public(outfile::STDOUT.into(), |out| out.write_all(&page))?;
    Ok(Exit::Done)
}

fn write_all(command: &clap::Command, dir: &Utf8Path) -> Result<(), Failure> {
    if command.is_hide_set() {
        return Ok(());
    }
    let name = display_name(command);
    let page = page(command)?;
    outfile::write_public(&dir.join(format!("{name}.1")), |out| out.write_all(&page))?;
    command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
        .try_for_each(|below| write_all(below, dir))
}

/// For example `tljournal-tree-install`.
fn display_name(command: &clap::Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    rendered.map_err(|source| Failure::io("render a manual page", source))?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples_and_exit_status() {
        fn check(command: &clap::Command) {
            let page = String::from_utf8(page(command).unwrap()).unwrap();
            let name = display_name(command);
            assert!(page.contains(&format!(".TH {name} 1")), "{page}");
            if command.get_subcommands().next().is_none() {
                assert!(page.contains("Exit status:"), "{name}");
            }
            let below = command.get_subcommands();
            below
                .filter(|below| below.get_name() != "help")
                .for_each(check);
        }
        let mut top = Cli::command();
        top.build();
        top.get_subcommands()
            .filter(|command| !command.is_hide_set() && command.get_name() != "help")
            .for_each(check);
    }
}
