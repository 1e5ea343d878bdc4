//! Trees: whole processes, compared with `cp` and `git`.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::Fallible;
use crate::measure::{Report, pairs, time, timed};

/// The shape of a tree: the number of files, their size, and the number of directories.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) files: usize,
    pub(crate) bytes: usize,
    pub(crate) dirs: usize,
}

const FEW_LARGE: Shape = Shape {
    name: "30 files, 160 MB",
    files: 30,
    bytes: 160_000_000 / 30,
    dirs: 2,
};
const MANY_SMALL: Shape = Shape {
    name: "10,000 files, 80 MB",
    files: 10_000,
    bytes: 8_000,
    dirs: 100,
};

pub(crate) fn shapes(smoke: bool) -> [Shape; 2] {
    match smoke {
        false => [FEW_LARGE, MANY_SMALL],
        true => [
            Shape {
                bytes: 100_000,
                ..FEW_LARGE
            },
            Shape {
                files: 200,
                ..MANY_SMALL
            },
        ],
    }
}

/// An unchanged tree, compared with `git status` on the same files.
pub(crate) fn unchanged(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    for shape in shapes(smoke) {
        let dir = scratch.join(format!("unchanged-{}", shape.files));
        let source = make(&dir.join("source"), &shape, 0)?;
        let root = dir.join("project");
        fs::create_dir_all(root.join("build"))?;
        install(&root, &source)?;
        let repository = make(&dir.join("repository"), &shape, 0)?;
        for args in [
            &["init", "-q"][..],
            &["add", "-A"],
            &[
                "-c",
                "user.name=b",
                "-c",
                "user.email=b@b",
                "commit",
                "-qm",
                "b",
            ],
            &["status", "-s"],
        ] {
            git(&repository, args)?;
        }
        let archive = dir.join("source.tar");
        run(Command::new("tar")
            .arg("-C")
            .arg(&source)
            .arg("-cf")
            .arg(&archive)
            .arg("."))?;
        let rounds = if smoke { 3 } else { 40 };
        for (from, kind) in [(&archive, "archive"), (&source, "directory")] {
            install(&root, from)?;
            install(&root, from)?;
            let times = pairs(
                rounds,
                |_| install(&root, from),
                |_| git(&repository, &["status", "-s"]),
            )?;
            let what = format!("tree of {}, unchanged, {kind}: git status", shape.name);
            report.compare(&what, times, 1.0);
        }
    }
    Ok(())
}

/// A durable installation, compared with a copy that is synced.
pub(crate) fn installs(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    for (shape, goal) in shapes(smoke).into_iter().zip([1.2, 1.0]) {
        let dir = scratch.join(format!("install-{}", shape.files));
        let source = make(&dir.join("source"), &shape, 0)?;
        let rounds = if smoke { 1 } else { 9 };
        let fresh = |name: String| -> Fallible<Utf8PathBuf> {
            let root = dir.join(name);
            fs::create_dir_all(root.join("build"))?;
            settle(&root)?;
            Ok(root)
        };
        let ours = |round| -> Fallible<Duration> {
            let root = fresh(format!("ours-{round}"))?;
            let took = time(|| install(&root, &source))?;
            fs::remove_dir_all(&root)?;
            settle(&dir)?;
            Ok(took)
        };
        let peer = |round| -> Fallible<Duration> {
            let root = fresh(format!("peer-{round}"))?;
            let took = time(|| copy(&source, &root.join("build/tools")))?;
            fs::remove_dir_all(&root)?;
            settle(&dir)?;
            Ok(took)
        };
        let times = timed(rounds, ours, peer)?;
        report.compare(
            &format!("tree of {}, durably: cp -r + sync -f", shape.name),
            times,
            goal,
        );
    }
    Ok(())
}

/// Syncs, so that neither side pays for the other's dirty data.
pub(crate) fn settle(dir: &Utf8Path) -> Fallible<()> {
    run(Command::new("sync").arg("-f").arg(dir))
}

fn copy(source: &Utf8Path, target: &Utf8Path) -> Fallible<()> {
    run(Command::new("cp")
        .args(["-r", "--reflink=never"])
        .arg(source)
        .arg(target))?;
    run(Command::new("sync").arg("-f").arg(target))
}

pub(crate) fn git(dir: &Utf8Path, args: &[&str]) -> Fallible<()> {
    // Otherwise a commit starts packing in the background during the measurement.
    let quiet = ["-c", "gc.auto=0", "-C", dir.as_str()];
    run(Command::new("git").args(quiet).args(args))
}

/// Installs a tree with the command line, as a whole process.
pub(crate) fn install(root: &Utf8Path, source: &Utf8Path) -> Fallible<()> {
    let command = command_line()?;
    let args = [
        "-q",
        "--root",
        root.as_str(),
        "tree",
        "install",
        "build/tools",
        "--from",
    ];
    run(Command::new(command).args(args).arg(source))
}

/// The command line program that was built next to this one.
pub(crate) fn command_line() -> Fallible<PathBuf> {
    let own = std::env::current_exe()?;
    let command = own.with_file_name("tljournal");
    if !command.exists() {
        return Err("build the command line first: cargo build --release".into());
    }
    Ok(command)
}

pub(crate) fn run(command: &mut Command) -> Fallible<()> {
    let status = command.stdout(Stdio::null()).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?} ended with {status}").into()),
    }
}

/// Creates the files of a tree, with incompressible content.
pub(crate) fn make(dir: &Utf8Path, shape: &Shape, salt: u64) -> Fallible<Utf8PathBuf> {
    make_of(dir, shape, salt, u64::MAX)
}

/// The same with content that compresses to three quarters.
pub(crate) fn make_soft(dir: &Utf8Path, shape: &Shape, salt: u64) -> Fallible<Utf8PathBuf> {
    make_of(dir, shape, salt, 0x3f3f_3f3f_3f3f_3f3f)
}

fn make_of(dir: &Utf8Path, shape: &Shape, salt: u64, mask: u64) -> Fallible<Utf8PathBuf> {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ salt;
    let mut block = vec![0_u8; 1 << 16];
    for n in 0..shape.files {
        let sub = dir.join(format!("d{}", n % shape.dirs));
        fs::create_dir_all(&sub)?;
        let mut file = File::create(sub.join(format!("f{n}")))?;
        let mut left = shape.bytes;
        while left > 0 {
            for word in block.chunks_exact_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&(state & mask).to_le_bytes());
            }
            let count = left.min(block.len());
            file.write_all(&block[..count])?;
            left -= count;
        }
    }
    Ok(dir.to_owned())
}
