use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal_testkit::{Tell, tell};
use twoliter_state::{
    Artifact, EXTERNAL_KIT_METADATA, EXTERNAL_KITS_DIR, Kind, Kit, KitOptions, LOCK_FILE, Outputs,
    State, Verified, digest_of_verified,
};

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
            version: number / 2 % 2 + 1,
            last,
        }
    }

    /// Builds until the storm is over, and reports the result to it.
    pub fn work(mut self) -> Fallible<ExitCode> {
        let found = fs::read_to_string(self.root.join(self.package(""))).unwrap_or_default();
        let found = number_of(&found).unwrap_or(0);
        if found != self.last && found != self.last + 1 {
            let text = format!("G2: {}: expected {}, found {found}", self.name, self.last);
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
        // Load the project. Earlier verifications count only for the runs that made them.
        let state = State::open(&self.root)?;
        state.cleanup_existing_tags(EXTERNAL_KITS_DIR)?;
        let lock = fs::read_to_string(self.root.join("Twoliter.lock"))?;
        expect(lock == LOCK, "the lock file is not whole")?;

        // Verify it against the registry, and claim the tags.
        let verified = Verified::sdk(
            digest_of_verified([(LOCK_FILE, lock.as_bytes())]),
            "bottlerocket-sdk-0.50.1@bottlerocket",
        );
        state.write_tags(
            EXTERNAL_KITS_DIR,
            &verified.kits(["bottlerocket-core-kit-5.4.2@bottlerocket"]),
        )?;

        // Install the tools of this version, and pin them.
        let tools = state.install_tools("build/tools", &tools(self.version)?)?;

        // Pull the kit, extract and pin it.
        let kit = self.fetch_kit(&state)?;
        state.write_file(EXTERNAL_KIT_METADATA, r#"{"kit":[],"sdk":{}}"#)?;

        // As the shell tasks do: check the tags, and run the tools on the kit.
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

    /// Writes the outputs into a new directory, and publishes them.
    fn publish(&self, state: &State, number: u64) -> Fallible<()> {
        // Created again, as buildsys does: files of a killed build may have been published and still have their old
        // name here, so they must not be written to.
        let built = self.root.join("build/scratch").join(&self.name);
        if built.exists() {
            fs::remove_dir_all(&built)?;
        }
        fs::create_dir_all(&built)?;
        let mut packages = Outputs::new();
        for kind in ["", "-devel"] {
            let name = format!("{}{kind}.rpm", self.name);
            fs::write(built.join(&name), text_of(&self.name, number))?;
            packages = packages.with(&name, built.join(&name));
        }
        let output_dir = format!("build/rpms/{}", self.name);
        state.publish(
            &self.artifact(Kind::Package, &self.name, output_dir),
            &packages,
        )?;

        // Each image has its own version, and one link leads to the latest.
        let (images, version) = ("build/images/x86_64-example", format!("1.0.{}", self.name));
        fs::write(built.join("image"), text_of(&self.name, number))?;
        let image = Outputs::new().with("image", built.join("image"));
        let variant = format!("example-{version}");
        let output_dir = format!("{images}/{version}");
        state.publish(&self.artifact(Kind::Variant, &variant, output_dir), &image)?;
        state.flip_latest(images, &version)?;
        Ok(())
    }

    fn artifact(&self, kind: Kind, name: &str, output_dir: String) -> Artifact {
        Artifact {
            arch: "x86_64".to_owned(),
            kind,
            name: name.to_owned(),
            state_dir: "build/state".into(),
            output_dir: output_dir.into(),
            shares_output_dir: false,
        }
    }
}

/// Pulls an image, as a client of the registry does.
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
