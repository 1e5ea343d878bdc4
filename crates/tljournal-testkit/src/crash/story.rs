use super::image::Image;
use super::record::{Name, Op};

/// One call as text.
pub(super) fn tell(now: &Image, op: &Op) -> String {
    let paths = now.walk();
    let path = |node: usize| {
        let found = paths.iter().find(|(_, id)| *id == node);
        found.map_or_else(|| "(gone)".to_owned(), |(path, _)| starred(path))
    };
    let name = |name: &Name| format!("{}/{}", path(name.dir), starred(&name.name));
    match op {
        Op::Add { at, .. } => format!("add {}", name(at)),
        Op::Remove { at, .. } => format!("remove {}", name(at)),
        Op::Move { from, to, .. } => format!("rename {} to {}", name(from), name(to)),
        Op::Exchange { names, .. } => {
            format!("exchange {} and {}", name(&names[0]), name(&names[1]))
        }
        Op::Write {
            node, offset, data, ..
        } => {
            format!("write {} bytes at {offset} of {}", data.len(), path(*node))
        }
        Op::Truncate { node, size } => format!("cut {} to {size} bytes", path(*node)),
        Op::Mode { node, mode } => format!("set the mode of {} to {mode:o}", path(*node)),
        Op::Mtime { node, .. } => format!("set the mtime of {}", path(*node)),
        Op::Sync { node } => format!("sync {}", path(*node)),
        Op::SyncAll => "sync everything".to_owned(),
        Op::Nothing => "nothing".to_owned(),
        Op::Told { begun, done } => format!("-- {begun} begun, {done} done"),
    }
}

/// A path with ids replaced by `*`.
fn starred(path: &str) -> String {
    let is_id =
        |part: &str| part.len() == 36 && part.bytes().filter(|byte| *byte == b'-').count() == 4;
    let parts = path
        .split('/')
        .map(|part| if is_id(part) { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
