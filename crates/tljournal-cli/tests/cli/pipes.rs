//! Pipes as sources: they are read once.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixListener;

use crate::running::{Running, TLJOURNAL};
use crate::world::Project;

/// Commands that read a pipe as an archive and as a file.
const READS: [&[&str]; 2] = [
    &["tree", "install", "build/it", "--from", "pipe"],
    &["put", "build/it", "--from", "pipe"],
];

fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let content = vec![b'c'; 300_000];
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "file", &content[..]).unwrap();
    tar.into_inner().unwrap()
}

fn write(mut pipe: File, bytes: &[u8]) {
    pipe.write_all(bytes).unwrap();
}

/// It was opened to determine its kind, and again for reading: the writer had ended by then.
#[test]
fn a_named_pipe_is_opened_once_and_its_writer_is_waited_for() {
    for read in READS {
        let project = Project::new();
        project.fifo("pipe");
        let mut running = project.start(read);
        let told = running.warning();
        assert!(
            told.contains("waiting for a writer of the pipe `pipe`"),
            "{told}"
        );
        let writer = File::options()
            .write(true)
            .open(project.at("pipe"))
            .unwrap();
        write(writer, &archive());
        assert_eq!(running.ended(), 0, "{read:?}");
        match read[0] {
            "put" => assert_eq!(std::fs::read(project.at("build/it")).unwrap(), archive()),
            _ => assert_eq!(project.text("build/it/file").len(), 300_000),
        }
    }
}

#[test]
fn a_wait_for_a_writer_ends_when_it_is_interrupted_and_leaves_nothing() {
    for read in READS {
        let project = Project::new();
        project.fifo("pipe");
        let mut running = project.start(read);
        assert!(running.warning().contains("waiting for a writer"));
        running.signal("INT");
        let code = running.ended();
        assert!([130, 1002].contains(&code), "{read:?}: {code}");
        project.ok(&["recover"]);
        assert!(!project.has("build/it"));
    }
}

#[test]
fn the_output_of_another_command_is_a_source() {
    let project = Project::new();
    project.write("archive.tar", archive());
    for (path, from) in [
        ("one", "<(cat archive.tar)"),
        ("two", "/dev/fd/3 3< <(cat archive.tar)"),
        ("three", "/dev/stdin < archive.tar"),
    ] {
        let script = format!("{TLJOURNAL} tree install build/{path} --from {from}");
        let mut bash = std::process::Command::new("bash");
        let running = Running::start(bash.args(["-c", &script]).current_dir(project.path()));
        assert_eq!(running.end(), 0, "{from}");
        assert_eq!(project.text(&format!("build/{path}/file")).len(), 300_000);
    }
}

#[test]
fn sockets_and_devices_are_refused_by_name() {
    let project = Project::new();
    let _socket = UnixListener::bind(project.at("socket")).unwrap();
    for (from, what) in [
        ("socket", "it is a socket"),
        ("/dev/zero", "it is a device"),
    ] {
        for read in READS {
            let args: Vec<_> = read[..read.len() - 1]
                .iter()
                .copied()
                .chain([from])
                .collect();
            let done = project.run(&args);
            assert!(
                done.code != 0 && done.err.contains(what),
                "{args:?}: {}",
                done.err
            );
        }
    }
}

/// They were opened as files, which waits for a writer without a message.
#[test]
fn descriptions_and_verified_files_may_be_pipes() {
    let over: [&str; 7] = [
        "tag",
        "write",
        "--sdk",
        "a-1@v (s)",
        "--over",
        "pipe",
        "build/tags",
    ];
    let reads: [&[&str]; 2] = [&["apply", "pipe"], &over];
    for read in reads {
        let project = Project::new();
        project.fifo("pipe");
        let mut running = project.start(read);
        let told = running.warning();
        assert!(
            told.contains("waiting for a writer of the pipe `pipe`"),
            "{told}"
        );
        let writer = File::options()
            .write(true)
            .open(project.at("pipe"))
            .unwrap();
        write(writer, br#"{"changes": [{"remove": "build/none"}]}"#);
        assert_eq!(running.ended(), 0, "{read:?}");
        let limited = [&["--lock-wait", "0.1"], read].concat();
        let done = project.run(&limited);
        assert!(done.code != 0 && done.err.contains("no writer"), "{done:?}");
    }
}
