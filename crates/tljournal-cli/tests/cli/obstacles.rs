//! Obstacles that prevent deletion, and a project of an ordinary user.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Done, Project, command_in, done};

/// An ordinary user.
pub(crate) const USER: u32 = 54321;
/// The limit for any command.
const LIMIT: Duration = Duration::from_secs(5);

/// An obstacle, or something that looks like one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A directory of root, empty or not.
    OfRoot {
        mode: u32,
        is_filled: bool,
    },
    /// A directory that its owner made inaccessible.
    Closed(u32),
    Attribute {
        letter: char,
        is_dir: bool,
    },
    BindMount,
    Tmpfs,
    Socket,
    Fifo,
    Device,
    NotUtf8,
    LongName,
    LongWideName,
    /// More levels than a single removal descends.
    Deep,
    /// A path that is longer than a system call accepts.
    LongPath,
}

use Obstacle::*;

pub(crate) const OBSTACLES: [Obstacle; 20] = [
    OfRoot {
        mode: 0o700,
        is_filled: false,
    },
    OfRoot {
        mode: 0o700,
        is_filled: true,
    },
    OfRoot {
        mode: 0o755,
        is_filled: false,
    },
    OfRoot {
        mode: 0o755,
        is_filled: true,
    },
    OfRoot {
        mode: 0o000,
        is_filled: true,
    },
    Closed(0o000),
    Closed(0o400),
    Attribute {
        letter: 'i',
        is_dir: false,
    },
    Attribute {
        letter: 'a',
        is_dir: false,
    },
    Attribute {
        letter: 'i',
        is_dir: true,
    },
    BindMount,
    Tmpfs,
    Socket,
    Fifo,
    Device,
    NotUtf8,
    LongName,
    LongWideName,
    Deep,
    LongPath,
];

impl Obstacle {
    /// Creates it in a directory; false if this filesystem does not support it.
    pub(crate) fn plant(self, dir: &Path, uid: u32) -> bool {
        let at = dir.join("obstacle");
        let own = |path: &Path| chown(path, Some(uid), Some(uid)).unwrap();
        let set_mode = |mode| fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
        let run = |program: &str, args: &[&str]| {
            let ran = Command::new(program).args(args).arg(&at).output();
            ran.is_ok_and(|ran| ran.status.success())
        };
        match self {
            OfRoot { mode, is_filled } => {
                fs::create_dir(&at).unwrap();
                if is_filled {
                    fs::write(at.join("f"), "of root").unwrap();
                }
                set_mode(mode);
            }
            Closed(mode) => {
                fs::create_dir(&at).unwrap();
                fs::write(at.join("f"), "closed").unwrap();
                own(&at.join("f"));
                own(&at);
                set_mode(mode);
            }
            Attribute { letter, is_dir } => {
                match is_dir {
                    true => fs::create_dir(&at).unwrap(),
                    false => fs::write(&at, "fixed").unwrap(),
                }
                own(&at);
                if is_dir {
                    fs::write(at.join("f"), "fixed").unwrap();
                }
                return run("chattr", &[&format!("+{letter}")]);
            }
            BindMount => {
                let real = dir.join("real");
                fs::create_dir(&real).unwrap();
                fs::create_dir(&at).unwrap();
                return run("mount", &["--bind", real.to_str().unwrap()]);
            }
            Tmpfs => {
                fs::create_dir(&at).unwrap();
                return run("mount", &["-t", "tmpfs", "none"]);
            }
            Socket => drop(UnixListener::bind(&at).unwrap()),
            Fifo => return run("mkfifo", &[]),
            Device => {
                let at = at.to_str().unwrap();
                let made = Command::new("mknod").args([at, "c", "1", "3"]).status();
                return made.is_ok_and(|made| made.success());
            }
            NotUtf8 => fs::write(dir.join(OsStr::from_bytes(b"n\xff")), "odd").unwrap(),
            LongName => fs::write(dir.join("n".repeat(255)), "long").unwrap(),
            LongWideName => fs::write(dir.join("\u{e9}".repeat(127)), "long").unwrap(),
            Deep => deep(dir, 600, "d", uid),
            LongPath => deep(dir, 30, &"d".repeat(250), uid),
        }
        true
    }

    /// Whether its directory cannot be replaced or removed in the first place.
    pub(crate) fn is_refused_before(self) -> bool {
        matches!(self, BindMount | Tmpfs)
    }

    /// Whether it prevents this user from deleting its directory.
    pub(crate) fn stops(self, uid: u32) -> bool {
        match self {
            OfRoot { is_filled, .. } => uid != 0 && is_filled,
            Attribute { .. } | BindMount | Tmpfs => true,
            _ => false,
        }
    }

    /// Part of the command that deletes it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Attribute { .. } => "sudo chattr -R -i -a ",
            BindMount | Tmpfs => "sudo umount -R ",
            _ => "sudo rm -rf ",
        }
    }
}

/// Nested directories. No path leads to the innermost one.
fn deep(dir: &Path, levels: usize, name: &str, uid: u32) {
    let script = "import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    os.mkdir(sys.argv[3]); os.chown(sys.argv[3], int(sys.argv[4]), int(sys.argv[4])); os.chdir(sys.argv[3])";
    let (levels, uid) = (levels.to_string(), uid.to_string());
    let mut python = Command::new("python3");
    python
        .args(["-c", script])
        .arg(dir)
        .args([&levels, name, &uid]);
    assert!(python.status().unwrap().success());
}

/// A project of a user, in which everything runs as that user.
pub(crate) struct Place {
    pub(crate) project: Project,
    pub(crate) uid: u32,
}

impl Place {
    pub(crate) fn of(uid: u32) -> Self {
        let project = Project::bare();
        fs::set_permissions(project.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(project.path(), Some(uid), Some(uid)).unwrap();
        let place = Self { project, uid };
        place.works(&["init"]);
        place
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.project.at(path)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let mut command = command_in(self.project.path(), args);
        command.uid(self.uid).gid(self.uid);
        let begun = Instant::now();
        let done = done(command.output().unwrap());
        assert!(
            begun.elapsed() < LIMIT,
            "{args:?} took {:?}",
            begun.elapsed()
        );
        done
    }

    pub(crate) fn works(&self, args: &[&str]) -> Done {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done
    }

    pub(crate) fn is_refused(&self, args: &[&str]) {
        let done = self.run(args);
        assert_eq!(done.code, 3, "{args:?}: {done:?}");
        assert!(done.err.contains("build/x/obstacle"), "{done:?}");
    }

    /// Creates a directory of the user.
    pub(crate) fn make_dir(&self, path: &str) -> PathBuf {
        let dir = self.at(path);
        fs::create_dir_all(&dir).unwrap();
        chown(&dir, Some(self.uid), Some(self.uid)).unwrap();
        dir
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        self.project.write(path, content);
        let mut at = self.at(path);
        while at.starts_with(self.project.path()) && at != self.project.path() {
            chown(&at, Some(self.uid), Some(self.uid)).unwrap();
            at.pop();
        }
    }

    pub(crate) fn findings(&self, code: &str) -> Vec<Value> {
        let told = self.run(&["fsck", "--json"]).json();
        let all = told["findings"].as_array().unwrap().clone();
        all.into_iter()
            .filter(|finding| finding["code"] == code)
            .collect()
    }

    /// The number of events about leftovers.
    pub(crate) fn events(&self) -> usize {
        let told = self.works(&["export", "--format", "jsonl"]).out;
        told.lines()
            .filter(|line| line.contains("left behind"))
            .count()
    }

    /// Runs commands of every kind, which must succeed.
    pub(crate) fn all_work(&self, story: &str) {
        for _ in 0..2 {
            self.work_goes_on(story);
            let done = self.run(&["fsck", "--repair"]);
            assert!(done.code <= 1, "{story}: {done:?}");
        }
    }

    /// Runs changing commands of every kind, which must succeed.
    pub(crate) fn work_goes_on(&self, story: &str) {
        self.write("source/f", story);
        let commands: [&[&str]; 6] = [
            &["put", "build/other", "--from", "source/f"],
            &["exec", "--lock", "a", "--log", "--", "true"],
            &["tree", "install", "build/tree", "--from", "source"],
            &["gc", "--keep-count", "0"],
            &["rm", "build/other"],
            &["recover"],
        ];
        for command in commands {
            let done = self.run(command);
            assert_eq!(done.code, 0, "{story}: {command:?}: {done:?}");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let own = self.project.path().to_str().unwrap();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            if mount.starts_with(own) {
                let _ = Command::new("umount").args(["-l", mount]).status();
            }
        }
        let clear = ["-R", "-f", "-i", "-a", own];
        let _ = Command::new("chattr").args(clear).output();
        let remove = ["-rf", "--one-file-system", own];
        let _ = Command::new("rm").args(remove).status();
    }
}

pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    assert!(
        is_root || std::env::var_os("TLJOURNAL_INSIST").is_none(),
        "needs root"
    );
    is_root
}
