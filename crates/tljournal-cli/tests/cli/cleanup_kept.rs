//! G12, G9: retained content of any kind, quarantine of content on another filesystem, and long names.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::obstacles::{Obstacle, Place, USER, is_root};
use crate::world::Project;

/// The files below a directory that contain these words.
fn holding(dir: &Path, words: &str) -> String {
    let found = Command::new("grep").args(["-rl", words]).arg(dir).output();
    String::from_utf8_lossy(&found.unwrap().stdout).into_owned()
}

/// A directory with a socket in it was deleted with all its content.
#[test]
fn g9_a_directory_with_unsupported_entries_is_kept_and_restored_without_them() {
    let project = Project::new();
    project.write("build/x/f", "content");
    project.write("build/x/sub/g", "more");
    fs::hard_link(project.at("build/x/f"), project.at("build/x/sub/h")).unwrap();
    drop(UnixListener::bind(project.at("build/x/sock")).unwrap());
    let odd = project.at("build/x").join(OsStr::from_bytes(b"n\xff"));
    fs::write(odd, "odd").unwrap();
    std::os::unix::fs::symlink("sub/g", project.at("build/x/link")).unwrap();
    let mode = fs::Permissions::from_mode(0o750);
    fs::set_permissions(project.at("build/x/sub"), mode).unwrap();
    project.ok(&["rm", "build/x"]);
    let done = project.ok(&["undo", "1"]);
    assert_eq!(project.text("build/x/link"), "more");
    let inode = |path: &str| fs::metadata(project.at(path)).unwrap().ino();
    assert_eq!(inode("build/x/f"), inode("build/x/sub/h"));
    let sub = fs::metadata(project.at("build/x/sub")).unwrap();
    assert_eq!(sub.permissions().mode() & 0o777, 0o750);
    assert!(!project.has("build/x/sock"));
    for told in ["sock", "n\u{fffd}", ".state/txn/"] {
        assert!(done.err.contains(told), "{told}: {done:?}");
    }
    assert!(!holding(&project.at("build/.state/txn"), "odd").is_empty());
}

/// A key in a directory without permissions for its owner stayed below `.state`, in retained content and in quarantine.
#[test]
fn g13_keys_in_what_their_owner_closed_are_not_kept() {
    if !is_root() {
        return;
    }
    let (body, kind) = ("MC4CAQAwBQYDK2Vw".repeat(4), "PRIVATE KEY");
    let key = format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
    for (path, mode) in [
        ("build/x/s", 0o000),
        ("build/x/s", 0o300),
        ("build/x/s", 0o500),
        ("build/x/s/plain", 0o000),
        ("build/x/s/plain", 0o200),
        ("build/x", 0o500),
    ] {
        let (place, story) = (Place::of(USER), format!("{path} with mode {mode:o}"));
        place.write("new/f", "1");
        place.works(&["tree", "install", "build/x", "--from", "new"]);
        place.write("build/x/s/plain", &key);
        place.write("build/x/s/work", "hours of work");
        fs::set_permissions(place.at(path), fs::Permissions::from_mode(mode)).unwrap();
        place.write("new/f", "2");
        place.works(&["tree", "install", "build/x", "--from", "new"]);
        place.works(&["gc"]);
        let state = place.at("build/.state");
        assert_eq!(holding(&state, &body), "", "{story}");
        assert!(!holding(&state, "hours of work").is_empty(), "{story}");
        assert_eq!(place.findings("left-behind").len(), 0, "{story}");
    }
}

/// The name of a quarantined item repeats the old one, and was too long then.
#[test]
fn g12_edits_of_files_with_the_longest_names_are_set_aside() {
    let project = Project::new();
    project.write("source", "1");
    for name in ["n".repeat(255), "\u{e9}".repeat(127), "\u{20ac}".repeat(85)] {
        let path = format!("build/{name}");
        project.ok(&["put", &path, "--from", "source"]);
        project.write(&path, "an edit");
        project.write("source", &name);
        project.ok(&["put", &path, "--from", "source"]);
        let aside = holding(&project.at("build/.state/aside"), "an edit");
        assert!(aside.contains(&name), "{aside}");
        project.ok(&["recover"]);
    }
}

/// A tree on another filesystem with an addition that must be set aside.
fn beside(obstacle: Obstacle, uid: u32) -> Option<Place> {
    let place = Place::of(uid);
    let other = place.make_dir("build/o");
    let options = ["-t", "tmpfs", "-o", "size=64M", "none"];
    let mounted = Command::new("mount").args(options).arg(&other).status();
    assert!(mounted.unwrap().success());
    chown(&other, Some(uid), Some(uid)).unwrap();
    place.write("new/f", "1");
    place.works(&["tree", "install", "build/o/t", "--from", "new"]);
    place.write("build/o/t/edit", "hours of work");
    let planted = obstacle.plant(&place.at("build/o/t"), uid);
    place.write("new/f", "2");
    let installed = place.run(&["tree", "install", "build/o/t", "--from", "new"]);
    assert_eq!(
        installed.code, 0,
        "{obstacle:?} beside {uid}: {installed:?}"
    );
    planted.then_some(place)
}

/// The number of complete quarantined items: an incomplete copy has a different name.
fn aside(place: &Place) -> usize {
    let names = fs::read_dir(place.at("build/.state/aside")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    let copying = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(".copying");
    assert!(!names.iter().any(copying), "{names:?}");
    names.len()
}

#[test]
fn g12_content_on_another_filesystem_is_copied_completely_or_stays() {
    if !is_root() {
        return;
    }
    use Obstacle::{Closed, Deep, Device, Fifo, LongName, LongWideName, NotUtf8, OfRoot, Socket};
    let closed = OfRoot {
        mode: 0o700,
        is_filled: true,
    };
    // Directories without permissions for their owner are opened: they may hold keys.
    let copied = [
        Socket,
        Fifo,
        Device,
        NotUtf8,
        LongName,
        LongWideName,
        Closed(0),
        Closed(0o400),
        Deep,
    ];
    let stays = [closed];
    for uid in [USER, 0] {
        for obstacle in copied.into_iter().chain(stays) {
            let Some(place) = beside(obstacle, uid) else {
                continue;
            };
            let story = format!("{obstacle:?} beside {uid}");
            let (state, other) = (place.at("build/.state/aside"), place.at("build/o"));
            place.all_work(&story);
            let is_copied = copied.contains(&obstacle) || uid == 0;
            assert_eq!(aside(&place), usize::from(is_copied), "{story}");
            let (there, here) = (holding(&state, "hours of work"), holding(&other, "hours"));
            assert_eq!(
                (there.is_empty(), here.is_empty()),
                (!is_copied, is_copied),
                "{story}"
            );
            let left = place.findings("left-behind");
            assert_eq!(left.len(), usize::from(!is_copied), "{story}: {left:?}");
            if is_copied {
                continue;
            }
            assert!(
                left[0]["actual"].as_str().unwrap().contains("build/o"),
                "{story}: {left:?}"
            );
            // Once it is readable it is copied.
            let open = ["-R", "u+rwX"];
            let own = [format!("{uid}:{uid}")];
            let run = |program: &str, args: &[&str]| {
                let ran = Command::new(program).args(args).arg(&other).status();
                assert!(ran.unwrap().success());
            };
            run("chown", &["-R", &own[0]]);
            run("chmod", &open);
            let done = place.run(&["fsck", "--repair"]);
            assert!(done.code <= 1, "{story}: {done:?}");
            assert_eq!(aside(&place), 1, "{story}");
            assert!(!holding(&state, "hours of work").is_empty(), "{story}");
            assert_eq!(place.findings("left-behind").len(), 0, "{story}");
        }
    }
}

/// Its filesystem is read-only or no longer mounted.
#[test]
fn g12_content_on_a_read_only_or_missing_filesystem_blocks_nothing() {
    if !is_root() {
        return;
    }
    for is_gone in [false, true] {
        let story = format!("gone: {is_gone}");
        let closed = Obstacle::OfRoot {
            mode: 0o700,
            is_filled: true,
        };
        let place = beside(closed, USER).unwrap();
        assert_eq!(place.findings("left-behind").len(), 1);
        let other = place.at("build/o");
        let mut change = Command::new(if is_gone { "umount" } else { "mount" });
        if !is_gone {
            change.args(["-o", "remount,ro"]);
        }
        assert!(change.arg(&other).status().unwrap().success());
        place.work_goes_on(&story);
        place.run(&["fsck", "--repair"]);
        place.work_goes_on(&story);
        assert_eq!(aside(&place), 0, "{story}");
    }
}
