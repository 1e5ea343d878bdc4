use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal_testkit::{Tell, tell};
use twoliter_state::{EXTERNAL_KITS_DIR, State, Verified, digest_of_verified};

use crate::Fallible;
use crate::project::{LOCK, check_kit, number_of, registry_beside, text_of, tools, version_of_tools};

/// Where the kit is extracted.
const KIT: &str = "build/external-kits/bottlerocket/bottlerocket-core-kit/x86_64";

/// One process that builds the project again and again, as one of two versions of twoliter.
pub struct Build {
    root: Utf8PathBuf,
    name: String,
    version: u64,
    last: u64,
}

impl Build {
    pub fn new(root: &str, name: &str, last: u64) -> Self {
        let number: u64 = name.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
        Self {
            root: root.into(),
            name: name.to_owned(),
            version: number % 2 + 1,
            last,
        }
    }

    /// Builds until the storm is over, and tells it what happened.
    pub fn work(mut self) -> Fallible<ExitCode> {
        let found = self.package().map(fs::read_to_string).transpose().ok().flatten();
        let found = found.as_deref().and_then(number_of).unwrap_or(0);
        if found != self.last && found != self.last + 1 {
            let text = format!("G2: {} was promised {}, {found} is there", self.name, self.last);
            tell(&Tell::Violation(text))?;
        }
        self.last = found;
        tell(&Tell::Found { number: found })?;
        loop {
            let begun = Instant::now();
            match self.build(self.last + 1) {
                Ok(()) => {
                    self.last += 1;
                    let (number, took) = (self.last, begun.elapsed());
                    tell(&Tell::Committed { number, took, bytes: 0 })?;
                }
                Err(error) => tell(&Tell::Violation(format!("{}: {error}", self.name)))?,
            }
        }
    }

    /// One build: what `twoliter build` does to the project, phase by phase.
    fn build(&self, number: u64) -> Fallible<()> {
        // Load the project. Whatever was verified before counts only for those who verified it.
        let state = State::open(&self.root)?;
        state.cleanup_existing_tags(EXTERNAL_KITS_DIR)?;
        let lock = fs::read_to_string(self.root.join("Twoliter.lock"))?;
        expect(lock == LOCK, "the lock file is not whole")?;

        // Verify it against the registry, and say so.
        let verified = Verified::sdk(
            digest_of_verified(lock.as_bytes(), []),
            "bottlerocket-sdk-0.50.1@bottlerocket",
        );
        state.write_tags(EXTERNAL_KITS_DIR, &verified.kits(["bottlerocket-core-kit-5.4.2@bottlerocket"]))?;

        // Install the tools that came with this version, and keep them.
        let tools = state.install_tools("build/tools", &tools(self.version)?)?;

        // Pull the kit and extract it, and keep it.
        let kit = self.fetch_kit(&state)?;
        state.put_external_kit_metadata(br#"{"kit":[],"sdk":{}}"#)?;

        // The shell's part: it checks the tags, and runs the tools on the kit.
        for tag in [".sdk-verified", ".kits-verified"] {
            let path = self.root.join(EXTERNAL_KITS_DIR).join(tag);
            let size = fs::metadata(&path).map_or(0, |meta| meta.len());
            expect(size > 0, &format!("could not validate: {tag} is missing or empty"))?;
        }
        let version = version_of_tools(Utf8Path::new(&tools.pin.path()))?;
        expect(version == self.version, "the tools are of another version")?;
        check_kit(Utf8Path::new(&kit.pin.path()))?;

        // Publish what was built.
        self.publish(&state, number)?;
        state.close()?;
        Ok(())
    }
}

fn expect(holds: bool, otherwise: &str) -> Fallible<()> {
    match holds {
        true => Ok(()),
        false => Err(otherwise.into()),
    }
}
