//! `examples/Makefile.toml`, run by the real cargo-make: several tasks concurrently, and one of them killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Makes a missing program a failure.
const INSIST: &str = "TLJOURNAL_INSIST";

/// The number of vendored crates.
const CRATES: usize = 40;

/// A project, and a directory of programs that come first in the PATH: the `tljournal` of this build, a `cargo` that
/// vendors without a network, and a `docker` that checks its input.
struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = Self { dir };
        for dir in ["bin", "project/build", "project/sources", "project/.cargo"] {
            fs::create_dir_all(project.at(dir)).unwrap();
        }
        let makefile = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/Makefile.toml");
        fs::copy(makefile, project.at("project/Makefile.toml")).unwrap();
        project.write("project/sources/Cargo.lock", "version = 4\n");
        let tljournal = env!("CARGO_BIN_EXE_tljournal");
        std::os::unix::fs::symlink(tljournal, project.at("bin/tljournal")).unwrap();
        project.script("bin/cargo", CARGO);
        project.script("bin/docker", DOCKER);
        project
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.at(path), content).unwrap();
    }

    fn script(&self, path: &str, content: &str) {
        self.write(path, content);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.at(path), mode).unwrap();
    }

    /// A task, in a process group of its own.
    fn make(&self, task: &str) -> Command {
        let inherited = std::env::var("PATH").unwrap();
        let mut command = Command::new("cargo-make");
        command
            .args([
                "make",
                "--loglevel",
                "error",
                "--makefile",
                "Makefile.toml",
                task,
            ])
            .current_dir(self.at("project"))
            .env("PATH", format!("{}:{inherited}", self.at("bin").display()))
            .env("REAL_CARGO", env!("CARGO"))
            .env("CRATES", CRATES.to_string())
            .env("SCRATCH", self.dir.path())
            .env_remove("CARGO_MAKEFLAGS")
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }
}

/// Vendors crate by crate into the directory given as the last argument, and counts its runs. If there is a pipe, it
/// reports through it when half of the crates are done, and waits there.
const CARGO: &str = r#"#!/usr/bin/env bash
set -euo pipefail
[ "${1:-}" = vendor ] || exec "${REAL_CARGO}" "$@"
echo run >> "${SCRATCH}/vendored"
into="${!#}"
for n in $(seq "${CRATES}"); do
  mkdir "${into}/crate-${n}"
  echo "crate ${n}" > "${into}/crate-${n}/LICENSE"
  if [ "${n}" = 20 ] && [ -p "${SCRATCH}/half" ]; then
    echo half > "${SCRATCH}/half"
    read -r _ < "${SCRATCH}/never"
  fi
done
"#;

/// Checks its input several times: every crate and the configuration are complete.
const DOCKER: &str = r#"#!/usr/bin/env bash
set -euo pipefail
for _ in $(seq 5); do
  [ -s .cargo/twoliter_cargo_config.toml ] || { echo "the configuration is empty" >&2; exit 1; }
  grep -q '^directory = ".cargo/vendor"$' .cargo/twoliter_cargo_config.toml
  for n in $(seq "${CRATES}"); do
    [ "$(cat ".cargo/vendor/crate-${n}/LICENSE")" = "crate ${n}" ] || { echo "crate ${n} is not whole" >&2; exit 1; }
  done
done
echo checked >> "${SCRATCH}/checked"
"#;

/// Whether cargo-make is installed; it must be if `TLJOURNAL_INSIST` is set.
fn has_cargo_make() -> bool {
    let found = Command::new("cargo-make").arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os(INSIST).is_none(),
        "cargo-make is not installed"
    );
    if !found {
        println!("skipped: cargo-make is not installed (`cargo install cargo-make`)");
    }
    found
}

fn assert_succeeds(child: Child) {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn concurrent_tasks_vendor_once_and_check_complete_crates() {
    if !has_cargo_make() {
        return;
    }
    let project = Project::new();
    let start = |task| {
        let mut command = project.make(task);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let tasks = [
        "check-licenses",
        "fetch-sources",
        "check-licenses",
        "check-licenses",
    ];
    let children: Vec<_> = tasks.into_iter().map(start).collect();
    children.into_iter().for_each(assert_succeeds);
    assert_eq!(project.text("vendored").lines().count(), 1);
    assert_eq!(project.text("checked").lines().count(), 3);
}

#[test]
fn a_task_killed_while_it_vendors_leaves_nothing_to_repair() {
    if !has_cargo_make() {
        return;
    }
    let project = Project::new();
    make_fifo(&project.at("half"));
    make_fifo(&project.at("never"));
    let mut first = project.make("fetch-sources").spawn().unwrap();
    let half = fs::File::open(project.at("half")).unwrap();
    let mut told = String::new();
    BufReader::new(half).read_line(&mut told).unwrap();
    assert_eq!(told, "half\n");
    let group = format!("-{}", first.id());
    let killed = Command::new("kill")
        .args(["-9", "--", &group])
        .status()
        .unwrap();
    assert!(killed.success());
    first.wait().unwrap();
    fs::remove_file(project.at("half")).unwrap();
    assert!(!project.at("project/.cargo/vendor").exists());
    assert_succeeds(
        project
            .make("check-licenses")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    assert_eq!(project.text("vendored").lines().count(), 2);
    assert_eq!(project.text("checked").lines().count(), 1);
}

#[test]
fn damaged_crates_are_vendored_again() {
    if !has_cargo_make() {
        return;
    }
    let project = Project::new();
    let check = || {
        let mut command = project.make("check-licenses");
        assert_succeeds(command.stderr(Stdio::piped()).spawn().unwrap());
    };
    check();
    let config = project.at("project/.cargo/twoliter_cargo_config.toml");
    let before = fs::metadata(&config).unwrap().modified().unwrap();
    fs::remove_dir_all(project.at("project/.cargo/vendor/crate-7")).unwrap();
    check();
    assert_eq!(project.text("vendored").lines().count(), 2);
    // The configuration file was not rewritten.
    assert_eq!(fs::metadata(&config).unwrap().modified().unwrap(), before);
}
