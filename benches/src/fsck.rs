//! A check of a tree, compared with hashing from memory and with the checks of stores, repositories and work trees.

use std::fs;
use std::process::Command;

use camino::Utf8Path;
use sha2::{Digest, Sha256};

use crate::Fallible;
use crate::measure::{Report, pairs};
use crate::trees::{command_line, git, install, make, run, shapes};

/// The number of threads that hash from memory: the goal is for two cores.
const HASHERS: usize = 2;

/// Checks with `fsck --full` and `fsck --quick`, as whole processes.
pub(crate) fn checks(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    let rounds = if smoke { 2 } else { 15 };
    let goals_of_nix = [1.0 / 2.0, 1.0 / 1.5];
    for (shape, goal_of_nix) in shapes(smoke).into_iter().zip(goals_of_nix) {
        let dir = scratch.join(format!("fsck-{}", shape.files));
        let source = make(&dir.join("source"), &shape, 0)?;
        let root = dir.join("project");
        fs::create_dir_all(root.join("build"))?;
        install(&root, &source)?;
        let full = |_| fsck(&root, "--full");
        let name = shape.name;
        if shape.files < 100 {
            let bytes = contents(&source)?;
            let times = pairs(rounds, full, |_| hash(&bytes))?;
            report.compare(
                &format!("fsck --full of {name}: sha2 from memory"),
                times,
                1.0 / 0.8,
            );
        }
        let peers: [(&str, Prepared, f64); 3] = [
            (
                "nix-store --verify --check-contents",
                nix(&dir, &source),
                goal_of_nix,
            ),
            ("ostree fsck", ostree(&dir, &source), 1.0 / 8.0),
            ("git fsck", repository(&dir, &source), 1.0 / 8.0),
        ];
        for (peer, prepared, goal) in peers {
            let what = format!("fsck --full of {name}: {peer}");
            match prepared {
                Err(why) => report.skip(&what, &why.to_string()),
                Ok(check) => {
                    let times = pairs(rounds.min(5), full, |_| run(&mut check()))?;
                    report.compare(&what, times, goal);
                }
            }
        }
        if shape.files > 100 {
            let repository = dir.join("repository");
            let status = |_| git(&repository, &["status", "-s"]);
            status(0)?;
            let times = pairs(rounds * 3, |_| fsck(&root, "--quick"), status)?;
            report.compare(&format!("fsck --quick of {name}: git status"), times, 1.0);
        }
        fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// A peer's check, ready to be repeated.
type Prepared = Fallible<Box<dyn Fn() -> Command>>;

fn fsck(root: &Utf8Path, how: &str) -> Fallible<()> {
    run(Command::new(command_line()?).args(["-q", "--root", root.as_str(), "fsck", how]))
}

fn contents(dir: &Utf8Path) -> Fallible<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in dir.read_dir_utf8()? {
        let path = entry?.path().to_owned();
        match path.is_dir() {
            true => found.extend(contents(&path)?),
            false => found.push(fs::read(path)?),
        }
    }
    Ok(found)
}

/// Hashes data in memory with several threads.
fn hash(contents: &[Vec<u8>]) -> Fallible<()> {
    std::thread::scope(|scope| {
        for share in 0..HASHERS {
            scope.spawn(move || {
                for bytes in contents.iter().skip(share).step_by(HASHERS) {
                    std::hint::black_box(Sha256::digest(bytes));
                }
            });
        }
    });
    Ok(())
}

/// Adds the tree to its own Nix store.
fn nix(dir: &Utf8Path, source: &Utf8Path) -> Prepared {
    let base = dir.join("nix");
    let command = move || {
        let mut command = Command::new("nix-store");
        for (name, below) in [
            ("NIX_STORE_DIR", "store"),
            ("NIX_STATE_DIR", "state"),
            ("NIX_LOG_DIR", "log"),
            ("NIX_CONF_DIR", "conf"),
            ("NIX_DATA_DIR", "data"),
            ("HOME", "home"),
        ] {
            command.env(name, base.join(below));
        }
        command.env("NIX_REMOTE", "");
        command.args(["--option", "build-users-group", ""]);
        command.stderr(std::process::Stdio::null());
        command
    };
    run(command().arg("--add").arg(source))?;
    Ok(Box::new(move || {
        let mut check = command();
        check.args(["--verify", "--check-contents"]);
        check
    }))
}

/// Commits the tree to a repository of OSTree.
fn ostree(dir: &Utf8Path, source: &Utf8Path) -> Prepared {
    let repository = format!("--repo={}", dir.join("ostree"));
    let command = move |args: &[&str]| {
        let mut command = Command::new("ostree");
        command.arg(&repository).args(args);
        command
    };
    run(&mut command(&["init", "--mode=bare-user"]))?;
    let tree = format!("--tree=dir={source}");
    run(&mut command(&["commit", "-b", "main", &tree]))?;
    Ok(Box::new(move || command(&["fsck", "--quiet"])))
}

/// Commits the tree to a repository of git.
fn repository(dir: &Utf8Path, source: &Utf8Path) -> Prepared {
    let repository = dir.join("repository");
    run(Command::new("cp")
        .arg("-r")
        .args([source, repository.as_path()]))?;
    git(&repository, &["init", "-q"])?;
    git(&repository, &["add", "-A"])?;
    let who = ["-c", "user.name=b", "-c", "user.email=b@b"];
    git(&repository, &[&who[..], &["commit", "-qm", "b"]].concat())?;
    Ok(Box::new(move || {
        let mut check = Command::new("git");
        check
            .arg("-C")
            .arg(&repository)
            .args(["fsck", "--full", "--no-progress"]);
        check
    }))
}
