use std::os::unix::fs::symlink;

use crate::world::{Done, Project, command_in, done};

/// Runs the command from a shell with a redirection.
fn redirected(project: &Project, args: &[&str], redirection: &str) -> Done {
    let mut shell = std::process::Command::new("sh");
    let script = format!("exec \"$0\" \"$@\" {redirection}");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_tljournal")]);
    shell.args(args).current_dir(project.path());
    done(shell.output().unwrap())
}

#[test]
fn g9_an_unreadable_standard_input_replaces_nothing() {
    let project = Project::new();
    project.write("dir/x", "x");
    project.small_tree("src");
    project.ok(&["put", "build/x", "--from", "dir/x"]);
    project.ok(&["tree", "install", "build/t", "--from", "src"]);
    let commands: [&[&str]; 5] = [
        &["put", "build/x"],
        &["put", "build/x", "--from", "-"],
        &["put", "build/x", "--from", "/dev/stdin"],
        &["tree", "install", "build/t", "--from", "-"],
        &["apply", "-"],
    ];
    let inputs = [
        ("<&-", "is closed"),
        ("0<>/dev/null", "is closed"),
        ("0>written", "not open for reading"),
        ("<dir", "is a directory"),
    ];
    for args in commands {
        for (redirection, why) in inputs {
            let done = redirected(&project, args, redirection);
            assert_eq!(done.code, 2, "{args:?} {redirection}: {done:?}");
            assert!(done.err.contains(why), "{args:?} {redirection}: {done:?}");
        }
        if !args.contains(&"/dev/stdin") {
            // Address 0 of a process cannot be read.
            let done = redirected(&project, args, "</proc/$PPID/mem");
            assert!(![0, 1].contains(&done.code), "{args:?}: {done:?}");
            assert!(
                done.err.contains("Input/output error"),
                "{args:?}: {done:?}"
            );
        }
        assert_eq!(project.text("build/x"), "x");
        assert!(project.has("build/t/bin/tool"));
    }
    // An intentionally empty input is empty content.
    for (args, redirection) in [
        (&["put", "build/x"][..], "</dev/null"),
        (&["put", "build/y", "--from", "/dev/null"], "<&-"),
    ] {
        let done = redirected(&project, args, redirection);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        assert_eq!(project.text(args[1]), "");
    }
}

#[test]
fn every_command_accepts_absolute_paths_below_the_root() {
    let project = Project::new();
    project.write("out/file", "1");
    project.small_tree("src");
    let outside = tempfile::tempdir().unwrap();
    let alias = outside.path().join("alias");
    symlink(project.path(), &alias).unwrap();
    let alias = alias.to_str().unwrap();
    let at = |path: &str| format!("{}/{path}", project.path().to_str().unwrap());
    let commands = |at: &dyn Fn(&str) -> String| -> Vec<Vec<String>> {
        let words = |line: &str| -> Vec<String> {
            let word = |word: &str| match word.strip_prefix('@') {
                Some(path) => at(path),
                None => word.to_owned(),
            };
            line.split(' ').map(word).collect()
        };
        [
            "put @build/x --from out/file",
            "link @build/l x",
            "tree install @build/t --from src",
            "tree verify @build/t",
            "tree show @build/t",
            "populate @build/p --key k -- true",
            "pin @build/t -- true",
            "blame @build/x",
            "log --path @build/x",
            "fsck @build/x",
            "tag write @build/tags --digest sha256:0000000000000000000000000000000000000000000000000000000000000000 --sdk x",
            "tag list @build/tags",
            "tag clear @build/tags",
            "--territory @build put @build/x --from out/file",
            "artifacts publish --arch a --kind package --name n --state @build/state --output @build/rpms --from out",
            "artifacts clean @build/rpms",
            "rm @build/l @build/x",
            "restore @build/x --at 1",
        ]
        .into_iter()
        .map(words)
        .collect()
    };
    for args in commands(&at) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let done = project.run(&args);
        assert!([0, 1].contains(&done.code), "{args:?}: {done:?}");
        project.write("out/file", "1");
    }
    // From another directory, through a link to the project.
    let put = [
        "put",
        &format!("{alias}/build/y"),
        "--root",
        alias,
        "--from",
        &at("out/file"),
    ];
    assert_eq!(
        done(command_in(outside.path(), &put).output().unwrap()).code,
        0
    );
    assert_eq!(project.text("build/y"), "1");
    let description = format!(
        r#"{{"changes": [{{"put": "{}", "content": "z"}}, {{"remove": "build/y"}}]}}"#,
        at("build/z")
    );
    let applied = project.run_with_input(&["apply", "-"], description.as_bytes());
    assert_eq!(applied.code, 0, "{applied:?}");
    assert_eq!(
        (project.text("build/z").as_str(), project.has("build/y")),
        ("z", false)
    );
    for path in ["/etc/passwd", outside.path().to_str().unwrap(), &at("")] {
        let refused = project.run(&["rm", path]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains("root"), "{refused:?}");
    }
}

#[test]
fn g10_a_missing_proc_is_reported_immediately() {
    let project = Project::bare();
    let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]);
    command.args([env!("CARGO_BIN_EXE_tljournal"), "init"]);
    let ran = done(command.current_dir(project.path()).output().unwrap());
    if ran.err.contains("unshare") || ran.err.contains("mount:") {
        eprintln!("skipped: no mount namespace: {}", ran.err);
        return;
    }
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.err.contains("/proc is not mounted"), "{ran:?}");
    assert!(!project.has("build/.state.db"));
}
