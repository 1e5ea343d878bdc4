//! A journal with a synthetic history, and its page.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use camino::Utf8PathBuf;
use tljournal_tests::{make_hostile_past, make_past};

pub(crate) struct World {
    dir: tempfile::TempDir,
}

impl World {
    /// An empty journal.
    pub(crate) fn new() -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        world.ok(&["init"]);
        world
    }

    /// With synthetic runs.
    pub(crate) fn with_past(runs: u32, txns_each: u32) -> Self {
        let world = Self::new();
        // Creates the row of the root, which all transactions refer to.
        world.ok(&["put", "build/first", "--from", "/dev/null"]);
        make_past(&world.home(), runs, txns_each);
        world
    }

    pub(crate) fn add_hostile(&self, text: &str) {
        make_hostile_past(&self.home(), text);
    }

    /// The page that the command writes.
    pub(crate) fn page(&self, more: &[&str]) -> String {
        let file = self.dir.path().join("report.html");
        let path = file.to_str().unwrap();
        self.ok(&[&["report", "--html", path], more].concat());
        std::fs::read_to_string(&file).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn home(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.path().join("build")).unwrap()
    }

    fn ok(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tljournal"));
        command
            .args(args)
            .current_dir(self.path())
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output
    }
}
