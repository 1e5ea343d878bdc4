use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn filled(fill: impl FnOnce(&Utf8Path) -> io::Result<()> + Send + 'static) -> TreeSource {
    TreeSource::filled(fill)
}

fn set_mode(path: &Utf8Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
}

#[test]
fn a_tree_filled_by_the_caller_is_described_as_it_is() {
    let yard = Yard::new();
    let outside = yard.source().join("outside");
    std::fs::write(&outside, "not of the tree").unwrap();
    let target = outside.clone();
    let built = yard.build(filled(move |path| {
        std::fs::create_dir(path.join("sealed"))?;
        std::fs::write(path.join("sealed/file"), "content")?;
        std::fs::hard_link(path.join("sealed/file"), path.join("again"))?;
        symlink(&target, path.join("link"))?;
        set_mode(&path.join("again"), 0o4711)?;
        set_mode(&path.join("sealed"), 0o555)?;
        set_mode(path, 0o555)
    }));
    let built = built.unwrap();
    let mut words = words(&built.manifest);
    for line in &mut words {
        let parts: Vec<_> = line.split(' ').collect();
        *line = [&parts[..2], &parts[3..]].concat().join(" ");
    }
    let link = format!("link 0 link to {outside}");
    let wanted = [
        ". 555 dir",
        "again 4711 file of 7",
        &link,
        "sealed 555 dir",
        "sealed/file 4711 file of 7, same as 1",
    ];
    assert_eq!(words, wanted);
    // The owner must be able to move it.
    assert_eq!(yard.root.own_stat().unwrap().mode, 0o755);
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "not of the tree");
}

#[test]
fn a_child_process_can_fill_a_tree() {
    let yard = Yard::new();
    let built = yard.build(filled(|path| {
        let script = "mkdir bin && printf run > bin/tool && chmod 700 bin/tool";
        let mut command = std::process::Command::new("sh");
        let status = command.args(["-c", script]).current_dir(path).status()?;
        assert!(status.success());
        Ok(())
    }));
    let words = words(&built.unwrap().manifest);
    assert!(words[0].starts_with(". 755 "), "{words:?}");
    assert!(words[2].starts_with("bin/tool 700 "), "{words:?}");
}

#[test]
fn an_error_of_the_filling_function_is_returned_and_it_runs_once() {
    let yard = Yard::new();
    let refused = yard.refusal(filled(|_| Err(io::Error::other("no network"))));
    assert_eq!(refused, "failed to fill the tree: no network");
    let mut source = filled(|_| Ok(()));
    assert!(!source.is_repeatable());
    let mut build = || build(&mut source, &yard.root, nowhere(), &|_| {});
    build().unwrap();
    let again = build().unwrap_err().to_string();
    assert!(again.contains("only once"), "{again}");
}

#[test]
fn special_files_made_by_the_caller_are_refused() {
    let yard = Yard::new();
    let refused = yard.refusal(filled(|path| {
        let fifo = path.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(fifo).status()?;
        assert!(made.success());
        Ok(())
    }));
    assert!(
        refused.contains("`fifo`: it is a device, fifo"),
        "{refused}"
    );
}
