use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::{Expect, Payload};
use tljournal_testkit::{Tell, tell};
use twoliter_state::{EXTERNAL_KITS_DIR, Kit, KitOptions, State, Verified, digest_of_verified};

use crate::Fallible;
use crate::project::{
    LOCK, check_kit, digest_in, number_of, registry_beside, text_of, tools, version_of_tools,
};

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
        let number: u64 = name
            .rsplit_once('-')
            .and_then(|(_, number)| number.parse().ok())
            .unwrap_or(0);
        Self {
            root: root.into(),
            name: name.to_owned(),
            version: number % 2 + 1,
            last,
        }
    }

    /// Builds until the storm is over, and tells it what happened.
    pub fn work(mut self) -> Fallible<ExitCode> {
        let found = fs::read_to_string(self.root.join(self.package(""))).unwrap_or_default();
        let found = number_of(&found).unwrap_or(0);
        if found != self.last && found != self.last + 1 {
            let text = format!(
                "G2: {} was promised {}, {found} is there",
                self.name, self.last
            );
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
                    tell(&Tell::Committed {
                        number,
                        took,
                        bytes: 0,
                    })?;
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
        state.write_tags(
            EXTERNAL_KITS_DIR,
            &verified.kits(["bottlerocket-core-kit-5.4.2@bottlerocket"]),
        )?;

        // Install the tools that came with this version, and keep them.
        let tools = state.install_tools("build/tools", &tools(self.version)?)?;

        // Pull the kit and extract it, and keep it.
        let kit = self.fetch_kit(&state)?;
        let mut txn = state.journal().begin("metadata");
        txn.put(
            "build/external-kits/external-kit-metadata.json",
            Payload::from(r#"{"kit":[],"sdk":{}}"#),
            Expect::Any,
        )?;
        txn.prepare()?.commit()?;

        // The shell's part: it checks the tags, and runs the tools on the kit.
        for tag in [".sdk-verified", ".kits-verified"] {
            let path = self.root.join(EXTERNAL_KITS_DIR).join(tag);
            let size = fs::metadata(&path).map_or(0, |meta| meta.len());
            expect(
                size > 0,
                &format!("could not validate: {tag} is missing or empty"),
            )?;
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

impl Build {
    fn package(&self, kind: &str) -> String {
        format!("build/rpms/{0}/{0}{kind}.rpm", self.name)
    }

    /// Pulls the kit's image from the registry, and unpacks it.
    fn fetch_kit(&self, state: &State) -> Fallible<Kit> {
        let registry = registry_beside(&self.root)?;
        let digest = digest_in(&registry)?;
        let cache = format!("build/external-kits/cache/sha256-{}", digest.hex());
        let pulled = state.pull(&cache, digest, move |stage| copy(&registry, stage))?;
        let layout = pulled.pin.path();
        Ok(state.unpack_kit(Utf8Path::new(&layout), KIT, KitOptions::default())?)
    }

    fn publish(&self, state: &State, number: u64) -> Fallible<()> {
        let mut txn = state.journal().begin("publish");
        for kind in ["", "-devel"] {
            txn.put(
                self.package(kind).as_str(),
                Payload::from(text_of(&self.name, number)),
                Expect::Any,
            )?;
        }
        txn.prepare()?.commit()?;
        let mut txn = state.journal().begin("image");
        let version = format!("1.0.{}", number % 5);
        txn.put(
            format!("build/images/x86_64-example/{version}/image").as_str(),
            Payload::from(text_of(&self.name, number)),
            Expect::Any,
        )?;
        txn.link("build/images/x86_64-example/latest", &version, Expect::Any)?;
        txn.prepare()?.commit()?;
        Ok(())
    }
}

/// What a client of the registry does.
fn copy(from: &Utf8Path, to: &Utf8Path) -> std::io::Result<()> {
    for entry in from.read_dir_utf8()? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&to)?;
            copy(entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

fn expect(holds: bool, otherwise: &str) -> Fallible<()> {
    match holds {
        true => Ok(()),
        false => Err(otherwise.into()),
    }
}
