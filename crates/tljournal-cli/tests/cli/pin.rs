use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::running::{Running, TLJOURNAL};
use crate::users::{OTHER, OWNER, there_are_users};
use crate::world::Project;

fn with_tree() -> Project {
    let project = Project::new();
    project.write("one/version", "1\n");
    project.write("two/version", "2\n");
    project.ok(&["tree", "install", "build/t", "--from", "one"]);
    project
}

/// Prints the content before and after a line arrives.
const LOOK: &str =
    "cat $TLJOURNAL_PIN/version; read x; cat $TLJOURNAL_PIN/version; cat build/t/version";

#[test]
fn g7_a_pinned_tree_stays_complete_while_another_one_takes_its_path() {
    let project = with_tree();
    let mut reader = project.start(&["pin", "build/t", "--", "sh", "-c", LOOK]);
    assert_eq!(reader.line(), "1");
    let refused = project.run(&[
        "tree",
        "install",
        "build/t",
        "--from",
        "two",
        "--on-pinned",
        "fail",
    ]);
    assert_eq!(refused.code, 3, "{refused:?}");
    project.ok(&["tree", "install", "build/t", "--from", "two"]);
    reader.tell("go on\n");
    assert_eq!(
        (reader.line(), reader.line()),
        ("1".to_owned(), "2".to_owned())
    );
    assert_eq!(reader.end(), 0);
    let install = [
        "tree",
        "install",
        "build/t",
        "--from",
        "one",
        "--on-pinned",
        "fail",
    ];
    project.ok(&install);
}

#[test]
fn g7_the_pin_and_its_path_outlive_a_wrapper_that_is_killed() {
    let project = with_tree();
    let script = format!("{LOOK} > seen; sh -c 'cat $TLJOURNAL_PIN/version' > of-child");
    let script = format!("cat $TLJOURNAL_PIN/version; read x; {script}");
    let args = ["pin", "build/t", "--", "sh", "-c", &script];
    let mut reader = project.start(&args);
    assert_eq!(reader.line(), "1");
    let input = reader.kill();
    project.ok(&["tree", "install", "build/t", "--from", "two"]);
    drop(input);
    // The old tree is unpinned when the last process with the descriptor has ended, as is its run's byte.
    let wait = [
        "tree",
        "install",
        "build/t",
        "--from",
        "one",
        "--on-pinned",
        "wait",
    ];
    project.ok(&wait);
    project.until_all_have_ended();
    assert_eq!(project.text("of-child"), "1\n");
}

#[test]
fn the_pinned_path_is_right_for_children_that_close_their_descriptors() {
    let project = with_tree();
    // All descriptors but the first three, as some languages close them in child processes.
    let closing =
        "for fd in $(seq 3 254); do eval \"exec $fd>&-\"; done; cat $TLJOURNAL_PIN/version";
    let script = format!("cat $TLJOURNAL_PIN/version; bash -c '{closing}'; exit 0");
    let done = project.ok(&["pin", "build/t", "--", "bash", "-c", &script]);
    assert_eq!(done.out, "1\n1\n");
}

#[test]
fn waiting_for_a_pin_of_an_ancestor_is_refused() {
    let project = with_tree();
    let install = ["tree", "install", "build/t", "--from", "two"];
    let wait = [
        &["pin", "build/t", "--", TLJOURNAL][..],
        &install,
        &["--on-pinned", "wait"],
    ];
    let done = project.run(&wait.concat());
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.contains("the tree is pinned by run"), "{done:?}");
    assert_eq!(project.text("build/t/version"), "1\n");
    // Exchanging is possible, below the pin too.
    project.ok(&[&["pin", "build/t", "--", TLJOURNAL][..], &install].concat());
    assert_eq!(project.text("build/t/version"), "2\n");
}

#[test]
fn waiting_for_pins_while_holding_a_lock_is_refused() {
    let project = with_tree();
    let pinned = project.start(&["pin", "build/t", "--", "sh", "-c", LOOK]);
    let mut pinned = pinned;
    assert_eq!(pinned.line(), "1");
    let install = [
        "tree",
        "install",
        "build/t",
        "--from",
        "two",
        "--on-pinned",
        "wait",
    ];
    let done = project.run(&[&["exec", "--lock", "a", "--", TLJOURNAL][..], &install].concat());
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.err.contains("could wait for ever"), "{done:?}");
    pinned.end();
}

/// Any user who could read a tree could lock it, and block every pin, installation and change of it.
#[test]
fn g13_a_lock_of_a_user_who_may_not_use_the_home_stops_nothing() {
    if !there_are_users() {
        return;
    }
    let holds = "echo held; read x";
    let takers = [
        ("the process that took it", "flock -x build/t sh -c '@'"),
        ("shared", "flock -s build/t sh -c '@'"),
        (
            "a process that inherited it",
            "exec 9<build/t; flock -x 9; @",
        ),
    ];
    for (story, taker) in takers {
        let project = Project::of_owner();
        project.write_as(OWNER, "tree/f", "1");
        let install = ["tree", "install", "build/t", "--from", "tree"];
        project.ok_as(OWNER, &install);
        let mut holder = Command::new("bash");
        holder.args(["-c", &taker.replace('@', holds)]);
        holder.current_dir(project.path()).uid(OTHER).gid(OTHER);
        let mut holder = Running::start(&mut holder);
        assert_eq!(holder.line(), "held", "{story}");
        let works = |args: &[&str]| {
            let mut command = Command::new("timeout");
            command.args(["-k", "1", "20", TLJOURNAL]).args(args);
            command.current_dir(project.path()).uid(OWNER).gid(OWNER);
            let done = crate::world::done(command.output().unwrap());
            assert_eq!(done.code, 0, "{story} {args:?}: {done:?}");
        };
        works(&["pin", "build/t", "--", "true"]);
        works(&install);
        works(&["put", "build/t/new", "--from", "tree/f"]);
        let told = project.ok_as(OWNER, &["export", "--format", "jsonl"]);
        assert!(told.out.contains("lock ignored"), "{story}: {told:?}");
        project.write_as(OWNER, "tree/f", "2");
        works(&[&install[..], &["--on-pinned", "wait"]].concat());
        assert_eq!(project.text("build/t/f"), "2", "{story}");
        // A locked tree is not deleted; the next cleanup deletes it.
        works(&["gc", "--keep-count", "0"]);
        let txns = || {
            std::fs::read_dir(project.at("build/.state/txn"))
                .unwrap()
                .count()
        };
        assert_ne!(txns(), 0, "{story}");
        holder.tell("end\n");
        assert_eq!(holder.end(), 0, "{story}");
        works(&["gc", "--keep-count", "0"]);
        assert_eq!(txns(), 0, "{story}");
    }
}

#[test]
fn a_pin_is_released_when_the_command_ends_despite_its_daemons() {
    let project = with_tree();
    project.fifo("gate");
    let daemon = "sh -c 'read x < gate' & exit 0";
    project.ok(&["pin", "build/t", "--", "sh", "-c", daemon]);
    let install = [
        "tree",
        "install",
        "build/t",
        "--from",
        "two",
        "--on-pinned",
        "fail",
    ];
    project.ok(&install);
    std::fs::write(project.at("gate"), "end\n").unwrap();
}
