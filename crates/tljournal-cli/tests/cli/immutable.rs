//! What the system keeps the journal from writing is named, with what to do about it.

use std::process::Command;

use crate::world::Project;

fn chattr(project: &Project, change: &str, file: &str) -> bool {
    let mut command = Command::new("chattr");
    let ran = command
        .args([change, file])
        .current_dir(project.path())
        .output();
    ran.is_ok_and(|ran| ran.status.success())
}

/// An immutable database was "attempt to write a readonly database", without a path.
#[test]
fn g10_an_immutable_file_of_the_journal_is_named() {
    for name in [
        ".state.db",
        ".state.db-wal",
        ".state.db-shm",
        ".state/lock/db",
        ".state/lock/commit",
        ".state/lock/runs",
    ] {
        let project = Project::new();
        project.run_with_input(&["put", "build/a"], b"one");
        let file = format!("build/{name}");
        if !chattr(&project, "+i", &file) {
            // Only root may, and not on every filesystem.
            return;
        }
        let refused = project.run_with_input(&["put", "build/b"], b"two");
        let looked = project.run(&["status"]);
        assert!(chattr(&project, "-i", &file));
        assert_eq!(looked.code, 0, "{name}: {looked:?}");
        // Some are not written to by this.
        if refused.code != 0 {
            let told = &refused.err;
            let tail = name.rsplit('/').next().unwrap_or(name);
            assert!(told.contains(tail), "{name}: {told}");
            assert!(told.contains("chattr"), "{name}: {told}");
        }
        project.run_with_input(&["put", "build/b"], b"two");
        assert_eq!(project.text("build/b"), "two");
    }
}
