//! Root runs a command in the project of another user (G13): afterwards that user can do nothing that was impossible
//! before, and no operation is blocked.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};

use camino::Utf8PathBuf;
use tljournal_tests::forge;

use crate::users::{
    GROUP, OTHER, OWNER, ROOT, all_below, of_root, set_attribute, set_mode, there_are_users,
};
use crate::world::{Project, listing, run_with_input};

/// Every kind of writing command; each can be repeated.
const WRITING: [&[&str]; 18] = [
    &["put", "build/a", "--from", "content"],
    &["put", "build/deep/er/a", "--from", "content"],
    &["put", "src/generated", "--from", "content"],
    &["link", "build/link", "a"],
    &["tree", "install", "build/t", "--from", "tree"],
    &[
        "tree",
        "install",
        "build/r",
        "--from",
        "tree",
        "--rebuildable",
    ],
    &["populate", "build/k", "--key", "1", "--", "sh", "-c", FILL],
    &["exec", "--lock", "vendor", "--log", "--", "true"],
    &["exec", "--lock-file", "lock", "--", "true"],
    &[
        "tag",
        "write",
        "--sdk",
        "sdk-1@vendor (source)",
        "--over",
        "content",
        "build/tags",
    ],
    &["rm", "build/deep"],
    &["rm", "build/k"],
    &["undo", "@last"],
    &["pin", "build/t", "--", "true"],
    &["gc", "--keep-count", "3"],
    &["recover"],
    &["fsck", "--repair"],
    &["fsck", "--rebuild", "--force"],
];

/// What a command of root leaves in a stage: directories that only their owner may change, and a file of another
/// user.
const FILL: &str = "mkdir -p $TLJOURNAL_STAGE/d/e; echo 1 > $TLJOURNAL_STAGE/d/e/f; ln $TLJOURNAL_STAGE/d/e/f \
                    $TLJOURNAL_STAGE/d/g; ln -s d $TLJOURNAL_STAGE/l; chmod 555 $TLJOURNAL_STAGE/d/e";

/// Runs all of them as a user, each with new content.
fn work_as(project: &Project, user: u32, round: u32) {
    for args in WRITING {
        project.write_as(OWNER, "content", &format!("{user} {round}"));
        project.write_as(OWNER, "tree/sub/file", &format!("{user} {round}"));
        let last = project.run_as(user, &["log", "-n", "1", "--json"]);
        let last = last.json()["transactions"][0]["number"].to_string();
        let key = format!("{user} {round}");
        let args: Vec<_> = args
            .iter()
            .map(|arg| match *arg {
                "@last" => last.as_str(),
                "1" => key.as_str(),
                arg => arg,
            })
            .collect();
        let done = project.run_as(user, &args);
        // 1: something was repaired.
        let is_well = done.code == 0 || args[0] == "fsck" && done.code == 1;
        assert!(is_well, "user {user}, {args:?}: {done:?}");
    }
}

#[test]
fn g13_files_created_by_root_belong_to_the_owner_and_block_no_command() {
    if !there_are_users() {
        return;
    }
    let project = Project::of_owner();
    work_as(&project, ROOT, 1);
    assert_eq!(of_root(&project.at("build")), [""; 0]);
    work_as(&project, OWNER, 2);
    work_as(&project, ROOT, 3);
    work_as(&project, OWNER, 4);
    project.ok_as(OWNER, &["fsck", "--full"]);
}

#[test]
fn g13_a_journal_created_by_root_belongs_to_the_owner_of_the_project() {
    if !there_are_users() {
        return;
    }
    let project = Project::bare();
    set_mode(project.path(), 0o755);
    chown(project.path(), Some(OWNER), Some(OWNER)).unwrap();
    project.ok_as(ROOT, &["init"]);
    assert_eq!(of_root(&project.at("build")), [""; 0]);
    // SQLite's own files too, after they were removed.
    for name in ["build/.state.db-shm", "build/.state.db-wal"] {
        fs::remove_file(project.at(name)).unwrap();
    }
    project.ok_as(ROOT, &["exec", "--", "true"]);
    assert_eq!(of_root(&project.at("build")), [""; 0]);
    work_as(&project, OWNER, 1);
}

#[test]
fn g13_a_file_that_root_replaces_keeps_its_owner_and_a_new_one_is_that_of_its_directory() {
    if !there_are_users() {
        return;
    }
    let project = Project::of_owner();
    fs::create_dir(project.at("build/roots")).unwrap();
    fs::create_dir(project.at("build/others")).unwrap();
    chown(project.at("build/others"), Some(OTHER), Some(OTHER)).unwrap();
    project.write_as(OTHER, "build/theirs", "old");
    set_mode(project.at("build/theirs"), 0o4750);
    project.write("new", "new");
    project.write("tree/d/f", "x");
    for path in [
        "build/theirs",
        "build/own",
        "build/roots/f",
        "build/others/f",
        "build/others/d/f",
    ] {
        project.ok_as(ROOT, &["put", path, "--from", "new", "--mode", "0640"]);
    }
    for path in ["build/ownt", "build/roots/t", "build/others/t"] {
        project.ok_as(ROOT, &["tree", "install", path, "--from", "tree"]);
    }
    for (path, owner) in [
        ("build/theirs", OTHER),
        ("build/own", OWNER),
        ("build/roots/f", ROOT),
        ("build/others/f", OTHER),
        ("build/others/d", OTHER),
        ("build/others/d/f", OTHER),
        ("build/ownt", OWNER),
        ("build/roots/t", ROOT),
        ("build/others/t", OTHER),
    ] {
        for (path, meta) in all_below(&project.at(path)) {
            assert_eq!((meta.uid(), meta.gid()), (owner, owner), "{path:?}");
        }
    }
    // New content does not inherit a set-id bit of another user.
    project.write_as(OTHER, "build/theirs", "old");
    set_mode(project.at("build/theirs"), 0o4750);
    let done = run_with_input(project.command(&["put", "build/theirs"]), b"newer");
    assert_eq!(done.code, 0, "{done:?}");
    let meta = fs::metadata(project.at("build/theirs")).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (OTHER, 0o750));
    project.ok_as(ROOT, &["fsck", "--full"]);
}

/// The user owned a set-id program, which is harmless; root restored its content, and it ran as root.
#[test]
fn g13_restored_content_never_runs_as_root() {
    if !there_are_users() {
        return;
    }
    let ways: [&[&str]; 5] = [
        &["undo", "2"],
        &["restore", "build/x", "--at", "1"],
        &["restore", "build/t", "--at", "3"],
        &["fsck", "--repair", "build/x"],
        &["fsck", "--repair", "build/x", "--source", "evil"],
    ];
    for owner in [OWNER, ROOT] {
        for (way, args) in ways.iter().enumerate() {
            let project = match owner {
                ROOT => Project::new(),
                _ => Project::of_owner(),
            };
            project.write_as(OTHER, "evil", "#!/bin/sh\nid\n");
            project.write_as(OTHER, "dir/evil", "#!/bin/sh\nid\n");
            set_mode(project.at("evil"), 0o755);
            set_mode(project.at("dir/evil"), 0o4755);
            project.write_as(owner, "harmless", "x");
            project.ok_as(
                owner,
                &["put", "build/x", "--from", "evil", "--mode", "4755"],
            );
            project.ok_as(owner, &["put", "build/x", "--from", "harmless"]);
            project.ok_as(owner, &["tree", "install", "build/t", "--from", "dir"]);
            project.ok_as(owner, &["rm", "build/t"]);
            // The retained content belongs to another user, as if that user had put it there.
            for (path, meta) in all_below(&project.at("build/.state/txn")) {
                if meta.is_file() && meta.len() == 13 {
                    chown(&path, Some(OTHER), Some(OTHER)).unwrap();
                    set_mode(&path, 0o4755);
                }
            }
            if way > 2 {
                project.run_as(owner, &["undo", "2"]);
                fs::remove_file(project.at("build/x")).unwrap();
            }
            project.run_as(ROOT, args);
            project.run_as(ROOT, &["fsck", "--repair"]);
            for (path, meta) in all_below(&project.at("build")) {
                let is_kept = path.starts_with(project.at("build/.state"));
                let runs_as_other =
                    meta.is_file() && meta.mode() & 0o6000 != 0 && meta.uid() != OTHER;
                assert!(
                    is_kept && meta.uid() != ROOT || !runs_as_other,
                    "{owner} {args:?}: {path:?}"
                );
            }
        }
    }
}

/// A member of the group that shares a home of root wrote into a file and recorded its new digest with mode 04755.
/// Root put the content back, with the recorded mode.
#[test]
fn g13_what_a_group_could_have_recorded_gives_no_set_id_bits() {
    if !there_are_users() {
        return;
    }
    let ways: [&[&str]; 4] = [
        &["undo", "2"],
        &["restore", "build/x", "--at", "1"],
        &["fsck", "--repair", "build/y"],
        &["restore", "build/t/x", "--at", "3"],
    ];
    for (home_mode, stays) in [(0o755, true), (0o2775, false), (0o757, false)] {
        for way in ways {
            let said = format!("{home_mode:o} {way:?}");
            let project = Project::bare();
            fs::create_dir(project.at("build")).unwrap();
            chown(project.at("build"), None, Some(GROUP)).unwrap();
            set_mode(project.at("build"), home_mode);
            project.ok(&["init"]);
            project.write("program", "x");
            project.write("other", "y");
            for args in [
                &["put", "build/x", "--from", "program", "--mode", "4755"][..],
                &["put", "build/x", "--from", "other"],
                &["put", "build/t/x", "--from", "program", "--mode", "4755"],
                &["rm", "build/t"],
                &["put", "build/y", "--from", "program", "--mode", "4755"],
            ] {
                project.ok(args);
            }
            set_mode(project.at("build/y"), 0o755);
            project.run(way);
            let name = way
                .iter()
                .find(|arg| arg.contains('/'))
                .unwrap_or(&"build/x");
            assert_eq!(project.text(name), "x", "{said}");
            let mode = fs::metadata(project.at(name)).unwrap().mode() & 0o7777;
            assert_eq!(mode, if stays { 0o4755 } else { 0o755 }, "{said}");
        }
    }
}

/// A user gave a set-id program of root a name in the project, and root put the user's content there.
#[test]
fn g13_new_content_gets_no_privileges_from_a_program_that_another_user_put_there() {
    if !there_are_users() {
        return;
    }
    const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (dir, mode, links, stays) in [
        (ROOT, 0o755, 1, true),
        (ROOT, 0o755, 2, false),
        (ROOT, 0o1777, 1, false),
        (ROOT, 0o775, 1, false),
        (OWNER, 0o755, 1, false),
    ] {
        let said = format!("in a directory {mode:o} of {dir}, {links} names");
        let project = Project::of_owner();
        for name in ["build/d/suid", "build/d/capable"] {
            project.write(name, "old");
            if links > 1 {
                fs::hard_link(project.at(name), project.at(name).with_extension("2")).unwrap();
            }
        }
        set_mode(project.at("build/d/suid"), 0o6755);
        set_attribute(
            project.at("build/d/capable"),
            "security.capability",
            &CAPABILITY,
        );
        chown(project.at("build/d"), Some(dir), Some(dir)).unwrap();
        set_mode(project.at("build/d"), mode);
        for name in ["build/d/suid", "build/d/capable"] {
            let done = run_with_input(project.command(&["put", name]), b"new");
            assert_eq!(done.code, 0, "{said}: {done:?}");
        }
        let meta = fs::metadata(project.at("build/d/suid")).unwrap();
        let wanted = if stays { 0o6755 } else { 0o755 };
        assert_eq!((meta.uid(), meta.mode() & 0o7777), (ROOT, wanted), "{said}");
        let mut value = [0; 20];
        let capable = project.at("build/d/capable");
        let has = rustix::fs::getxattr(&capable, "security.capability", &mut value).is_ok();
        assert_eq!(has, stays, "{said}");
    }
}

/// A row forged by the user said that root's private directory was a tree installed with mode 0777. Root's next
/// command made it accessible to everyone.
#[test]
fn g13_forged_rows_never_make_root_change_its_own_files() {
    if !there_are_users() {
        return;
    }
    let paths = [
        "secret",
        "secret/key",
        "secret/dir",
        "secret/link",
        "sticky/file",
        "sticky",
    ];
    let changes = [
        ("tree", (false, true)),
        ("tree", (true, true)),
        ("put", (false, true)),
        ("put", (true, true)),
        ("remove", (true, false)),
        ("fill", (true, true)),
        ("dir", (true, true)),
        ("dir", (true, false)),
        ("part", (true, false)),
        ("parent", (false, true)),
    ];
    let project = Project::of_owner();
    project.write_as(OWNER, "content", "x");
    fs::create_dir_all(project.at("build/secret/dir")).unwrap();
    set_mode(project.at("build/secret"), 0o700);
    project.write("build/secret/key", "hidden");
    symlink("key", project.at("build/secret/link")).unwrap();
    project.write("build/sticky/file", "root's");
    set_mode(project.at("build/sticky"), 0o1777);
    let home = Utf8PathBuf::from_path_buf(project.at("build")).unwrap();
    let own = || {
        [
            listing(&project.at("build/secret")),
            listing(&project.at("build/sticky")),
        ]
    };
    project.ok_as(OWNER, &["put", "build/a", "--from", "content"]);
    let before = own();
    for path in paths {
        for (op, images) in changes {
            forge(&home, path, op, images);
            for args in [
                &["recover"][..],
                &["put", "build/b", "--from", "content"],
                &["gc", "--keep-count", "0"],
                &["fsck", "--repair"],
                &["undo", "1", "--force"],
            ] {
                let done = project.run_as(ROOT, args);
                assert!(!done.err.contains("panicked"), "{path} {op}: {done:?}");
                assert_eq!(own(), before, "{path} {op} {images:?} {args:?}: {done:?}");
            }
        }
    }
    // Work continues.
    project.ok_as(ROOT, &["put", "build/last", "--from", "content"]);
}

/// They were owned by root and private, even if they replaced a file of the user.
#[test]
fn g13_what_root_writes_about_a_project_is_for_its_owner() {
    if !there_are_users() {
        return;
    }
    let project = Project::of_owner();
    project.run_as(OWNER, &["exec", "--", "false"]);
    for (name, user, mode) in [
        ("own", OWNER, 0o755),
        ("others", OTHER, 0o755),
        ("open", ROOT, 0o1777),
    ] {
        fs::create_dir(project.at(name)).unwrap();
        chown(project.at(name), Some(user), Some(user)).unwrap();
        set_mode(project.at(name), mode);
    }
    let writing: [&[&str]; 4] = [
        &["report", "--html"],
        &["export", "--format", "jsonl", "-o"],
        &["postmortem", "--html"],
        &["postmortem", "--bundle"],
    ];
    for (n, args) in writing.iter().enumerate() {
        for (at, planted, owner) in [
            ("own/new", None, OWNER),
            ("own/replaced", Some(OWNER), OWNER),
            ("own/others", Some(OTHER), OWNER),
            ("open/new", None, ROOT),
            ("open/replaced", Some(OWNER), OWNER),
            // The owner of the replaced file may be another user than the owner of the project.
            ("open/planted", Some(OTHER), ROOT),
            ("others/new", None, ROOT),
        ] {
            let at = format!("{at}{n}");
            if let Some(user) = planted {
                project.write_as(user, &at, "old");
            }
            project.ok_as(ROOT, &[args, &[at.as_str()][..]].concat());
            let meta = fs::metadata(project.at(&at)).unwrap();
            assert_eq!(
                (meta.uid(), meta.mode() & 0o777),
                (owner, 0o600),
                "{args:?} {at}"
            );
        }
    }
}
