//! The objects that a vandal plants.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use super::world::{Account, World};

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    Nothing,
    EmptyFile,
    Garbage,
    /// A sparse file of a tebibyte.
    Sparse,
    /// The file or directory itself, without read access for its owner.
    Closed,
    /// Itself, readable and writable by everyone.
    Open,
    /// Itself, with another owner.
    Given,
    /// Itself, immutable.
    Immutable,
    /// Itself, with something mounted over it.
    Mounted,
    SetId,
    EmptyDir,
    FullDir,
    /// A non-empty directory that only its owner may enter.
    ClosedDir,
    DeepDir,
    LinkToFile,
    LinkToDir,
    LinkToNothing,
    LinkToItself,
    /// A hard link to a file outside.
    HardLink,
    Fifo,
    Socket,
    /// A device without an end.
    EndlessDevice,
    BlockDevice,
}

impl Object {
    pub(crate) const ALL: [Self; 23] = [
        Self::Nothing,
        Self::EmptyFile,
        Self::Garbage,
        Self::Sparse,
        Self::Closed,
        Self::Open,
        Self::Given,
        Self::Immutable,
        Self::Mounted,
        Self::SetId,
        Self::EmptyDir,
        Self::FullDir,
        Self::ClosedDir,
        Self::DeepDir,
        Self::LinkToFile,
        Self::LinkToDir,
        Self::LinkToNothing,
        Self::LinkToItself,
        Self::HardLink,
        Self::Fifo,
        Self::Socket,
        Self::EndlessDevice,
        Self::BlockDevice,
    ];

    /// Whether the journal never creates such an object in its own directories.
    pub(crate) fn is_strange(self) -> bool {
        use Object::*;
        matches!(
            self,
            LinkToFile
                | LinkToDir
                | LinkToNothing
                | LinkToItself
                | Fifo
                | Socket
                | EndlessDevice
                | BlockDevice
        )
    }

    /// Plants it at a path, replacing what is there. Returns inode and owner if it is a set-id file.
    pub(crate) fn put(self, world: &World, at: &Path, owner: Account) -> Option<(u64, u32)> {
        use Object::*;
        let outside = &world.outside.dir;
        let changes_what_is_there = matches!(self, Closed | Open | Given | Immutable | Mounted);
        if !changes_what_is_there {
            remove(at);
        }
        let kind = |letter: &str| {
            let mut args = vec![at.to_str().unwrap(), letter];
            args.extend(match letter {
                "c" => ["1", "5"].as_slice(),
                "b" => &["7", "0"],
                _ => &[],
            });
            run("mknod", &args);
        };
        match self {
            Nothing => return None,
            EmptyFile => fs::write(at, "").unwrap(),
            Garbage => fs::write(at, vec![0xa5; 1 << 16]).unwrap(),
            Sparse => fs::File::create(at).unwrap().set_len(1 << 40).unwrap(),
            Closed => set_mode(at, 0),
            Open => set_mode(at, 0o777),
            Given => {}
            Immutable if at.exists() => {
                run("chattr", &["+i", at.to_str().unwrap()]);
                return None;
            }
            Mounted if at.is_dir() => run(
                "mount",
                &["--bind", &path_in(outside, "dir"), at.to_str().unwrap()],
            ),
            Mounted if at.is_file() => {
                run(
                    "mount",
                    &["--bind", &path_in(outside, "public"), at.to_str().unwrap()],
                );
            }
            Immutable | Mounted => return None,
            SetId => fs::write(at, "#!/bin/sh\nid\n").unwrap(),
            EmptyDir => fs::create_dir(at).unwrap(),
            FullDir | ClosedDir => {
                fs::create_dir(at).unwrap();
                fs::write(at.join("f"), "x").unwrap();
            }
            DeepDir => {
                // Through handles: the whole path is longer than the limit.
                let script = format!(
                    "import os\nos.mkdir({at:?}); os.chdir({at:?})\nfor i in range(600): os.mkdir('d'); os.chdir('d')"
                );
                run("python3", &["-c", &script]);
            }
            LinkToFile => symlink(outside.join("secret"), at).unwrap(),
            LinkToDir => symlink(outside.join("dir"), at).unwrap(),
            LinkToNothing => symlink(outside.join("missing"), at).unwrap(),
            LinkToItself => symlink(at, at).unwrap(),
            HardLink => fs::hard_link(outside.join("secret"), at).unwrap(),
            Fifo => kind("p"),
            Socket => drop(std::os::unix::net::UnixListener::bind(at)),
            EndlessDevice => kind("c"),
            BlockDevice => kind("b"),
        }
        if fs::symlink_metadata(at).is_ok() && !matches!(self, HardLink | Mounted) {
            lchown(at, Some(owner.id()), Some(owner.id())).unwrap();
        }
        match self {
            ClosedDir => set_mode(at, 0o700),
            SetId => {
                set_mode(at, 0o6755);
                return Some((fs::metadata(at).unwrap().ino(), owner.id()));
            }
            _ => {}
        }
        None
    }
}

fn path_in(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

fn set_mode(at: &Path, mode: u32) {
    if fs::symlink_metadata(at).is_ok_and(|meta| !meta.is_symlink()) {
        fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn remove(at: &Path) {
    match fs::symlink_metadata(at) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(at).unwrap(),
        Ok(_) => fs::remove_file(at).unwrap(),
        Err(_) => {}
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}
