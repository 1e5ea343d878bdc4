//! Read access in a home that a group shares, or that has an ACL (G13).

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::privacy::own_modes;
use crate::users::{GROUP, MEMBER, OTHER, OWNER, set_attribute, set_mode, there_are_users};
use crate::world::Project;

/// A member of the group could read content of another member's private directory below `.state`.
#[test]
fn g13_what_is_kept_of_a_directory_that_is_closed_to_the_group_is_closed_too() {
    if !there_are_users() {
        return;
    }
    let project = Project::bare();
    set_mode(project.path(), 0o755);
    fs::create_dir_all(project.at("build/private/deep")).unwrap();
    for path in ["", "build", "build/private", "build/private/deep"] {
        chown(project.at(path), Some(OWNER), Some(GROUP)).unwrap();
    }
    set_mode(project.at("build"), 0o2775);
    set_mode(project.at("build/private"), 0o700);
    let ok = |user: u32, args: &[&str]| {
        let done = project.run_in_group(user, args);
        assert_eq!(done.code, 0, "{user} {args:?}: {done:?}");
    };
    ok(OWNER, &["init"]);
    for n in 0..3 {
        project.write("content", format!("a secret {n}"));
        project.write("tree/f", format!("a secret {n}"));
        let put = |path: &str| ok(OWNER, &["put", path, "--from", "content"]);
        put("build/private/f");
        put("build/private/deep/f");
        ok(
            OWNER,
            &["tree", "install", "build/private/t", "--from", "tree"],
        );
        // An edit, which is set aside.
        project.write("build/private/f", format!("an edited secret {n}"));
    }
    ok(OWNER, &["rm", "build/private/deep"]);
    fs::remove_file(project.at("build/private/f")).unwrap();
    fs::create_dir(project.at("build/private/f")).unwrap();
    project.write("build/private/f/g", "a secret in the way");
    chown(project.at("build/private/f"), Some(OWNER), Some(GROUP)).unwrap();
    project.run_in_group(OWNER, &["fsck", "--repair", "build/private/f"]);
    let read = || {
        let mut grep = Command::new("grep");
        grep.args(["-ra", "secret", "build/.state"])
            .current_dir(project.path());
        let read = grep.uid(MEMBER).gid(GROUP).output().unwrap();
        String::from_utf8(read.stdout).unwrap()
    };
    assert_eq!(read(), "");
    // It blocks no other member; only the directory itself is unreadable for them.
    let checked = project.run_in_group(MEMBER, &["fsck", "--json"]).json();
    for finding in checked["findings"].as_array().unwrap() {
        let path = finding["path"].as_str().unwrap();
        assert!(!path.contains(".state/txn"), "{finding}");
    }
    project.write("content", "for everybody");
    for args in [
        &["put", "build/a", "--from", "content"][..],
        &["recover"],
        &["rm", "build/a"],
        &["undo", "@last"],
        &["gc", "--keep-count", "0"],
        &["put", "build/b", "--from", "content"],
    ] {
        let last = project.run_in_group(MEMBER, &["log", "-n", "1", "--json"]);
        let last = last.json()["transactions"][0]["number"].to_string();
        let args: Vec<_> = args
            .iter()
            .map(|arg| if *arg == "@last" { &*last } else { arg })
            .collect();
        ok(MEMBER, &args);
    }
    assert_eq!(read(), "");
    ok(OWNER, &["gc", "--keep-count", "0"]);
    ok(OWNER, &["fsck"]);
    let left = fs::read_dir(project.at("build/.state/txn")).unwrap();
    assert_eq!(left.count(), 0, "the owner deletes the rest");
}

/// Access of the owner, of [`OTHER`], of the group, and the mask, which replaces the group's bits in the mode.
fn acl(group: u8) -> Vec<u8> {
    let entries = [
        (0x01, 7, u32::MAX),
        (0x02, 7, OTHER),
        (0x04, group, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 5, u32::MAX),
    ];
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, permissions, id) in entries {
        bytes.extend([tag, 0, permissions, 0]);
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// The mask of an ACL that let another user write was taken for the group's right to write.
#[test]
fn g13_an_acl_opens_the_journal_only_to_a_group_that_may_write_in_the_home() {
    if !there_are_users() {
        return;
    }
    for (group, shares) in [(5, false), (7, true)] {
        let project = Project::bare();
        fs::create_dir(project.at("build")).unwrap();
        set_mode(project.at("build"), 0o755);
        for path in [project.path().to_owned(), project.at("build")] {
            chown(path, Some(OWNER), Some(GROUP)).unwrap();
        }
        set_mode(project.path(), 0o755);
        for name in ["system.posix_acl_access", "system.posix_acl_default"] {
            set_attribute(project.at("build"), name, &acl(group));
        }
        project.write("content", "x");
        let put = ["put", "build/a", "--from", "content"];
        assert_eq!(project.run_in_group(OWNER, &put).code, 0);
        let check = || {
            for (path, meta) in own_modes(&project) {
                let wanted = match (meta.is_dir(), shares) {
                    (true, false) => 0o700,
                    (false, false) => 0o600,
                    (true, true) => 0o770,
                    (false, true) => 0o660,
                };
                assert_eq!(meta.mode() & 0o777, wanted, "shared {shares}: {path:?}");
                let acl = rustix::fs::getxattr(&path, "system.posix_acl_access", &mut [0; 99][..]);
                assert!(acl.is_err(), "{path:?} has an ACL");
            }
        };
        check();
        // As `setfacl -R` does.
        for (path, _) in own_modes(&project) {
            if path.parent() == Some(&project.at("build")) && path.is_file() {
                set_attribute(path, "system.posix_acl_access", &acl(group));
            }
        }
        project.write("content", "y");
        assert_eq!(project.run_in_group(OWNER, &put).code, 0);
        check();
        // A member of the group, which may write in the home or not.
        for args in [&["log"][..], &["rm", "build/a"]] {
            let done = project.run_in_group(MEMBER, args);
            assert_eq!(done.code == 0, shares, "{args:?}: {done:?}");
        }
    }
}
