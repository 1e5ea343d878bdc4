//! Twoliter's use of the state on every run, when there is nothing to do.

use std::fs;
use std::io::Write;
use std::time::Duration;

use camino::Utf8Path;
use tljournal::Digest;
use twoliter_state::{EXTERNAL_KIT_METADATA, EXTERNAL_KITS_DIR, LOCK_FILE, State, Tools, Verified};

use crate::Fallible;
use crate::measure::{Report, time, timed};

/// The number of upstream's scripts and programs, and their size.
const SCRIPTS: usize = 22;
const PROGRAMS: usize = 10;
const PROGRAM_BYTES: usize = 12_000_000;

/// The limit for the state layer in a run that finds everything unchanged.
const LIMIT: Duration = Duration::from_millis(5);

/// A run that finds tools, tags, metadata and lock file unchanged, compared with one that installs all of them again,
/// as twoliter does without the journal; and with the limit.
pub(crate) fn unchanged_run(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    let (ours, theirs) = (scratch.join("twoliter"), scratch.join("twoliter-peer"));
    let bytes = if smoke { 10_000 } else { PROGRAM_BYTES };
    let payload = Payloads::new(bytes)?;
    let tools = payload.tools();
    for root in [&ours, &theirs] {
        fs::create_dir_all(root.join("build"))?;
    }
    let first = State::open(ours.as_path())?;
    run(&first, &tools)?;
    first.close()?;
    // The run that verified them goes on, like a build in another terminal.
    let neighbour = State::open(ours.as_path())?;
    neighbour.write_tags(EXTERNAL_KITS_DIR, &verified())?;
    let rounds = if smoke { 2 } else { 60 };
    let times = timed(
        rounds,
        |_| time(|| first_to_last(&ours, &tools)),
        |_| time(|| payload.install_as_upstream(&theirs)),
    )?;
    neighbour.close()?;
    // Without other claims, the early cleanup removes the tags, and they are written again.
    let alone = timed(
        rounds,
        |_| time(|| first_to_last(&ours, &tools)),
        |_| Ok(LIMIT),
    )?;
    let what = "a run that finds everything unchanged: installing again";
    report.compare(what, times, 0.1);
    report.compare("the same: its limit", (times.0, LIMIT), 1.0);
    report.compare(
        "the same alone, tags removed and written: the limit",
        alone,
        1.0,
    );
    Ok(())
}

fn first_to_last(root: &Utf8Path, tools: &Tools) -> Fallible<()> {
    let state = State::open(root)?;
    run(&state, tools)?;
    Ok(state.close()?)
}

fn run(state: &State, tools: &Tools) -> Fallible<()> {
    state.cleanup_existing_tags(EXTERNAL_KITS_DIR)?;
    state.write_tags(EXTERNAL_KITS_DIR, &verified())?;
    let _tools = state.install_tools("build/tools", tools)?;
    state.write_file(EXTERNAL_KIT_METADATA, "{}")?;
    state.write_file(LOCK_FILE, "schema-version = 1\n")?;
    Ok(())
}

fn verified() -> Verified {
    Verified::sdk(Digest::of(b"lock"), "sdk-1@vendor").kits(["kit-1@vendor"])
}

/// The embedded payload.
struct Payloads {
    scripts: Vec<(String, Vec<u8>)>,
    archive: &'static [u8],
    program: &'static [u8],
}

impl Payloads {
    fn new(bytes: usize) -> Fallible<Self> {
        let name = |n| match n {
            0 => "build.Dockerfile".to_owned(),
            1..=4 => format!("waves/{n}.toml"),
            _ => format!("script-{n}"),
        };
        let scripts: Vec<_> = (0..SCRIPTS).map(|n| (name(n), vec![b'#'; 8_000])).collect();
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in &scripts {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            header.set_mtime(1_700_000_000);
            archive.append_data(&mut header, name, content.as_slice())?;
        }
        let archive = archive.into_inner()?.leak();
        let program = vec![7; bytes].leak();
        Ok(Self {
            scripts,
            archive,
            program,
        })
    }

    fn tools(&self) -> Tools {
        let program = self.program;
        let mut tools = Tools::new(self.archive);
        for n in 0..PROGRAMS {
            tools = tools.program(format!("program-{n}"), move || program);
        }
        tools.known_as(Digest::of(b"this version"))
    }

    /// Removes everything and writes it again, without syncs.
    fn install_as_upstream(&self, root: &Utf8Path) -> Fallible<()> {
        let (tools, kits) = (root.join("build/tools"), root.join(EXTERNAL_KITS_DIR));
        if tools.exists() {
            fs::remove_dir_all(&tools)?;
        }
        fs::create_dir_all(tools.join("waves"))?;
        fs::create_dir_all(&kits)?;
        for (name, content) in &self.scripts {
            fs::write(tools.join(name), content)?;
        }
        for n in 0..PROGRAMS {
            let mut file = fs::File::create(tools.join(format!("program-{n}")))?;
            file.write_all(self.program)?;
        }
        for tag in [".sdk-verified", ".kits-verified"] {
            fs::write(kits.join(tag), "[]")?;
        }
        Ok(())
    }
}
