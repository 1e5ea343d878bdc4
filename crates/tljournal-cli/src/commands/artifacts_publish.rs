use camino::Utf8PathBuf;
use clap::ValueEnum;
use serde_json::json;
use tljournal::{NamedPath, RelPath};
use twoliter_state::{Artifact, Outputs, State};

use crate::exit;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::output::BOLD;
use crate::session::Session;
use crate::text::clean;

const EXAMPLE: &str = "\
Example:
  tljournal artifacts publish --arch x86_64 --kind package --name bash \\
    --state build/state --output build/rpms/bash --from out/
";

/// Publish build artifacts, replacing the previous ones
///
/// The files are moved below the output directory, each with a marker for its owner, and files named by old markers
/// are removed, all in one transaction after everything new is complete.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::after(EXAMPLE, exit::OF_TAGS))]
pub(crate) struct Args {
    /// The architecture
    #[arg(long, value_name = "ARCH", value_parser = one_name)]
    arch: String,
    /// The kind of artifact
    #[arg(long, value_name = "KIND")]
    kind: Kind,
    /// The name of the artifact
    #[arg(long, value_name = "NAME", value_parser = one_name)]
    name: String,
    /// The directory of all markers, relative to the root
    #[arg(long, value_name = "DIR", default_value = "build/state")]
    state: NamedPath,
    /// The directory of its outputs, relative to the root
    #[arg(long, value_name = "DIR")]
    output: NamedPath,
    /// Other artifacts of this kind share the output directory: take over outputs that their markers name
    #[arg(long)]
    shared_output: bool,
    /// Everything below this directory except markers
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "files",
        required_unless_present = "files"
    )]
    from: Option<Utf8PathBuf>,
    /// The files; their names are kept
    #[arg(value_name = "FILE")]
    files: Vec<Utf8PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// RPMs
    Package,
    /// A repository of RPMs
    Kit,
    /// Images
    Variant,
}

impl From<Kind> for twoliter_state::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Package => Self::Package,
            Kind::Kit => Self::Kit,
            Kind::Variant => Self::Variant,
        }
    }
}

pub(super) fn run(session: &Session, args: Args) -> Result<Exit, Failure> {
    let outputs = outputs(&args)?;
    let artifact = Artifact {
        arch: args.arch,
        kind: args.kind.into(),
        name: args.name,
        state_dir: session.below_root(&args.state)?.to_path_buf(),
        output_dir: session.below_root(&args.output)?.to_path_buf(),
        shares_output_dir: args.shared_output,
    };
    let state = State::with(session.work()?);
    let done = state.publish(&artifact, &outputs)?;
    session.close_state(state);
    let texts =
        |names: &[Utf8PathBuf]| -> Vec<_> { names.iter().map(ToString::to_string).collect() };
    let json = || {
        json!({
            "command": "artifacts publish",
            "outputs": outputs.len(),
            "put": texts(&done.put),
            "removed": texts(&done.removed),
            "left": texts(&done.left),
        })
    };
    session.output.result(json, |out| {
        let said = [
            ("put", &done.put),
            ("removed", &done.removed),
            ("left", &done.left),
        ];
        for (what, names) in said {
            for name in names {
                writeln!(out, "{BOLD}{what}{BOLD:#} {}", clean(name.as_str()))?;
            }
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

fn outputs(args: &Args) -> Result<Outputs, Failure> {
    if let Some(dir) = &args.from {
        if !files::is_dir(dir) {
            let shown = dir.as_str().escape_debug();
            return Err(Failure::Usage(format!("`{shown}` is not a directory")));
        }
        return Ok(Outputs::below(dir)?);
    }
    let mut outputs = Outputs::new();
    for file in &args.files {
        let shown = file.as_str().escape_debug();
        let name = file.file_name();
        let name = name.ok_or_else(|| Failure::Usage(format!("`{shown}` has no name")))?;
        if !files::exists(file) || files::is_dir(file) {
            return Err(Failure::Usage(format!("`{shown}` is not a file")));
        }
        outputs = outputs.with(name, file);
    }
    Ok(outputs)
}

fn one_name(text: &str) -> Result<String, String> {
    match RelPath::new(text) {
        Ok(path) if path.name() == text => Ok(text.to_owned()),
        _ => Err("not one name".to_owned()),
    }
}
