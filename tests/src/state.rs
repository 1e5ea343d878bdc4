use tljournal_testkit::World;

/// The state that determines what a recovery does: the numbers of staging and of unfinished transactions, and the
/// content of the staging directory.
pub type State = (Option<(usize, usize)>, Vec<String>);

/// The state that a killed process has left.
#[must_use]
pub fn state_of(world: &World) -> State {
    (rows(world), staged_shape(world))
}

fn rows(world: &World) -> Option<(usize, usize)> {
    let found = world.options().inspect().ok()?;
    let status = found.history().status().ok()?;
    Some((status.staging.len(), status.unfinished.len()))
}

fn staged_shape(world: &World) -> Vec<String> {
    let mut shape = Vec::new();
    for id in world.left_in_staging() {
        let Ok(entries) = std::fs::read_dir(world.path("build/.state/txn").join(id)) else {
            continue;
        };
        shape.push("/".to_owned());
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        shape.extend(entries.flatten().map(name));
    }
    shape.sort();
    shape
}
