//! A project of an ordinary user with files of every kind, and the accounts that run commands there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::outside::Outside;

/// The time limit of a command in seconds. None takes a tenth of a second on an idle machine.
const SECONDS_MAX: &str = "30";

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The owner of the project.
    Owner,
    /// Another ordinary user.
    Other,
    /// The superuser.
    Root,
}

impl Account {
    pub(crate) const ALL: [Self; 3] = [Self::Owner, Self::Other, Self::Root];

    /// Its user and group.
    pub(crate) fn id(self) -> u32 {
        match self {
            Self::Owner => 54321,
            Self::Other => 54322,
            Self::Root => 0,
        }
    }
}

/// The end of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// What no command may ever do.
    pub(crate) fn has_crashed(&self) -> Option<&'static str> {
        match self.code {
            // The signal of the time limit appears in the shell as this code.
            Some(137) | None => Some("hangs, or was ended by a signal"),
            Some(101) => Some("panics"),
            _ if self.err.contains("panicked at") => Some("panics"),
            _ => None,
        }
    }
}

/// A project, and the files outside of it.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) outside: Outside,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("vandal.")
            .tempdir()
            .unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let outside = Outside::new(&dir.path().join("outside"));
        let world = Self { dir, outside };
        fs::create_dir(world.project()).unwrap();
        fs::create_dir(world.project().join("src")).unwrap();
        for (path, text) in [
            ("src/f", "1"),
            ("src/g", "x"),
            ("changes.json", DESCRIPTION),
        ] {
            fs::write(world.project().join(path), text).unwrap();
        }
        for path in ["", "src", "src/f", "src/g", "changes.json"] {
            let id = Some(Account::Owner.id());
            chown(world.project().join(path), id, id).unwrap();
        }
        let setup = world.run(Account::Owner, "sh", &["-ec", SETUP]);
        assert_eq!(setup.code, Some(0), "{setup:?}");
        world
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.dir.path().join("p")
    }

    /// Runs `tljournal` in the project.
    pub(crate) fn tljournal(&self, account: Account, args: &[&str]) -> Ended {
        self.run(account, binary().to_str().unwrap(), args)
    }

    fn run(&self, account: Account, program: &str, args: &[&str]) -> Ended {
        let input = self.project().join("src/f");
        let input = fs::File::open(input).map_or(Stdio::null(), Stdio::from);
        let output = Command::new("timeout")
            .args(["--signal=KILL", SECONDS_MAX, program])
            .args(args)
            .current_dir(self.project())
            .env("T", binary())
            .env("HOME", "/")
            .env_remove("TLJOURNAL_RUN")
            .stdin(input)
            .uid(account.id())
            .gid(account.id())
            .output();
        let output = match output {
            Ok(output) => output,
            // Its working directory is inaccessible or no longer exists.
            Err(error) => {
                return Ended {
                    code: Some(6),
                    out: String::new(),
                    err: error.to_string(),
                };
            }
        };
        assert_ne!(output.status.signal(), Some(15), "the test was ended");
        Ended {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for World {
    /// Removes obstacles so that the directory can be deleted.
    fn drop(&mut self) {
        let top = self.dir.path();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for at in mounted.filter(|at| Path::new(at).starts_with(top)) {
            let _ = Command::new("umount").args(["-l", at]).status();
        }
        let _ = Command::new("chattr")
            .args(["-R", "-f", "-i", "-a"])
            .arg(top)
            .output();
    }
}

const DESCRIPTION: &str = r#"{"label": "two", "changes": [
    {"put": "build/b", "content": "two"}, {"put": "build/new/c", "content": "three"}]}"#;

/// Creates files of every kind: retained content of replacements and removals, a quarantined edit, logs, a named
/// lock, trees, a population.
const SETUP: &str = r#"umask 022; "$T" -q init
    for i in 1 2; do echo $i | "$T" -q put build/a; done
    for i in 1 2; do echo $i > src/f; "$T" -q tree install build/t --from src; done
    "$T" -q link a build/l
    echo edited > build/a; echo 3 | "$T" -q put build/a 2>/dev/null
    mkdir -p build/d/sub; echo x > build/d/sub/f; "$T" -q rm build/d
    mkdir -p build/e/sub; echo x > build/e/sub/f
    "$T" -q exec --lock vendor --log -- echo built >/dev/null
    "$T" -q exec --log -- false >/dev/null 2>&1 || true
    "$T" -q populate build/k --key 1 -- sh -c 'echo 1 > "$TLJOURNAL_STAGE/f"'
"#;

/// The built command, at a path where every account can start it.
fn binary() -> &'static Path {
    static BINARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BINARY.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().join("tljournal");
        fs::copy(env!("CARGO_BIN_EXE_tljournal"), &path).unwrap();
        (dir, path)
    });
    path
}
