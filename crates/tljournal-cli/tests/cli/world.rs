//! A project in a temporary directory, and the command run in it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A project with a journal.
pub(crate) struct Project {
    dir: tempfile::TempDir,
}

/// The end of a run of the command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Project {
    /// An empty directory.
    pub(crate) fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    /// With a journal.
    pub(crate) fn new() -> Self {
        let project = Self::bare();
        project.ok(&["init"]);
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    pub(crate) fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        command_in(self.path(), args)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        done(self.command(args).output().unwrap())
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Done {
        run_with_input(self.command(args), input)
    }

    /// Runs a command that must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Done {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done
    }

    /// Runs a command with `--json` that must succeed, and parses its output.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let done = self.ok(&[args, &["--json"]].concat());
        done.json()
    }

    /// Creates a small tree to install.
    pub(crate) fn small_tree(&self, at: &str) {
        self.write(&format!("{at}/bin/tool"), "#!/bin/sh\n");
        self.write(&format!("{at}/data"), "1");
        std::os::unix::fs::symlink("data", self.at(at).join("link")).unwrap();
    }
}

impl Done {
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.out).unwrap();
        assert_eq!(value["schema"], 1, "{value}");
        value
    }

    /// The error that was printed with `--json`.
    pub(crate) fn error(&self) -> Value {
        let last = self.err.lines().last().unwrap();
        let value: Value = serde_json::from_str(last).unwrap();
        assert_eq!(value["schema"], 1, "{value}");
        assert_eq!(value["error"]["code"], self.code, "{value}");
        value["error"].clone()
    }
}

pub(crate) fn command_in(dir: &Path, args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tljournal"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command
}

pub(crate) fn run_in(dir: &Path, args: &[&str]) -> Done {
    done(command_in(dir, args).output().unwrap())
}

pub(crate) fn run_with_input(mut command: Command, input: &[u8]) -> Done {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A command that fails early does not read all of it.
    let _ = child.stdin.take().unwrap().write_all(input);
    done(child.wait_with_output().unwrap())
}

pub(crate) fn done(output: Output) -> Done {
    Done {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Everything below a directory: names, inodes, modes, sizes, mtimes and ctimes.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    fn walk(path: &Path, found: &mut Vec<String>) {
        let meta = fs::symlink_metadata(path).unwrap();
        let mtime = (meta.mtime(), meta.mtime_nsec());
        let ctime = (meta.ctime(), meta.ctime_nsec());
        let (ino, mode, size) = (meta.ino(), meta.mode(), meta.size());
        found.push(format!(
            "{path:?} {ino} {mode:o} {size} {mtime:?} {ctime:?}"
        ));
        if meta.is_dir() {
            let mut inside: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            inside.sort();
            inside.iter().for_each(|path| walk(path, found));
        }
    }
    let mut found = Vec::new();
    walk(dir, &mut found);
    found
}

/// The listing without the two files that SQLite itself creates when it opens a database.
pub(crate) fn untouchable(dir: &Path) -> Vec<String> {
    let companion =
        |line: &String| line.contains(".state.db-shm") || line.contains(".state.db-wal");
    let mut found = listing(dir);
    found.retain(|line| !companion(line));
    found
}

/// The names in a home that are not the journal's own.
pub(crate) fn visible(home: &Path) -> Vec<String> {
    let names = fs::read_dir(home).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with(".state"))
        .collect();
    names.sort();
    names
}
