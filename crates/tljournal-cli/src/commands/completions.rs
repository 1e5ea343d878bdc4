use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{self, Exit};
use crate::failure::Failure;
use crate::outfile;

const EXAMPLE: &str = "\
Examples:
  tljournal completions bash > ~/.local/share/bash-completion/completions/tljournal
  tljournal completions zsh > ~/.zfunc/_tljournal
  tljournal completions fish > ~/.config/fish/completions/tljournal.fish
";

/// Print a script for shell completion
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_TEXTS))]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tljournal", &mut script);
    outfile::write_public(outfile::STDOUT.into(), |out| out.write_all(&script))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tljournal", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in Cli::command().get_subcommands() {
                let name = command.get_name();
                assert!(
                    command.is_hide_set() || script.contains(name),
                    "{shell}: {name}"
                );
            }
        }
    }
}
