use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8Path;
use tljournal::disk::{Call, Dir, Disk, DiskError, Lacks, Witness};
use tljournal::{Identity, Kind, Stat};

use super::image::{Body, Image, Node, NodeId, ROOT};
use crate::witness::Lack;

/// Maps the inodes of a directory that was built from an image to the recorded ones; as a witness it shows the
/// recorded identities to the engine.
#[derive(Debug, Default)]
pub(super) struct Standing {
    identities: Mutex<HashMap<Identity, Identity>>,
    /// After a cut there is another boot and a new mount.
    mount: u64,
    /// The missing features of the filesystem.
    lack: Lack,
}

impl Standing {
    /// Every inode stands for itself.
    pub(super) fn lacking(lack: Lack) -> Self {
        Self {
            lack,
            ..Self::default()
        }
    }

    /// The identity that is shown for an inode.
    pub(super) fn stands_for(&self, real: Identity) -> Identity {
        let identities = self
            .identities
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        identities.get(&real).copied().unwrap_or(real)
    }
}

impl Witness for Standing {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        self.lack.before(call)
    }

    fn found(&self, stat: &mut Stat) {
        stat.identity = self.stands_for(stat.identity);
        stat.mount = stat.mount.wrapping_add(self.mount);
    }

    fn lacks(&self) -> Lacks {
        self.lack.lacks()
    }
}

/// The `stat` of a path, without following a link.
pub(super) fn stat_of(path: &Utf8Path) -> Option<Stat> {
    let dir = Dir::open(path.parent()?, Disk::default()).ok()?;
    dir.stat(path.file_name()?).ok()?
}

/// Reads the current state of a directory.
pub(super) fn read(root: &Utf8Path, standing: &Standing) -> Result<Image, DiskError> {
    let dir = Dir::open(root, Disk::default())?;
    let mut image = Image { nodes: Vec::new() };
    let mut known = HashMap::new();
    let own = dir.own_stat()?;
    let top = image.insert(node(&own, standing, Body::Dir(BTreeMap::new())));
    assert_eq!(top, ROOT, "the root comes first");
    let mut left = vec![(dir, ROOT)];
    while let Some((dir, at)) = left.pop() {
        let mut names = dir.names()?;
        names.sort();
        let mut entries = BTreeMap::new();
        for name in names {
            let name = name.to_string_lossy().into_owned();
            let Some(stat) = dir.stat(&name)? else {
                continue;
            };
            let id = match known.get(&stat.identity) {
                Some(id) => *id,
                None => {
                    let body = match stat.kind {
                        Kind::Dir => Body::Dir(BTreeMap::new()),
                        Kind::Link => Body::Link(dir.read_link(&name)?),
                        Kind::File | Kind::Other => {
                            let content = dir.read_small(&name, u64::MAX)?.unwrap_or_default();
                            Body::File(Arc::new(content))
                        }
                    };
                    let id = image.insert(node(&stat, standing, body));
                    known.insert(stat.identity, id);
                    id
                }
            };
            if stat.kind == Kind::Dir {
                left.push((dir.open_dir(&name)?, id));
            }
            entries.insert(name, id);
        }
        image.nodes[at].body = Body::Dir(entries);
    }
    Ok(image)
}

pub(super) fn node(stat: &Stat, standing: &Standing, body: Body) -> Node {
    Node {
        identity: standing.stands_for(stat.identity),
        mode: stat.mode,
        mtime: stat.mtime,
        body,
    }
}

/// Builds an image in an empty directory, as seen after another boot, on a filesystem with missing features.
pub(super) fn lay(image: &Image, root: &Utf8Path, boot: u64, lack: Lack) -> io::Result<Standing> {
    let identities = lay_out(image, root).map_err(io::Error::other)?;
    Ok(Standing {
        identities: Mutex::new(identities),
        mount: boot,
        lack,
    })
}

fn lay_out(
    image: &Image,
    root: &Utf8Path,
) -> Result<HashMap<Identity, Identity>, Box<dyn Error + Send + Sync>> {
    let top = Dir::open(root, Disk::default())?;
    let everything = image.walk();
    let mut first: HashMap<NodeId, &str> = HashMap::new();
    for (path, id) in everything.iter().skip(1) {
        let node = &image.nodes[*id];
        if let Some(from) = first.get(id) {
            top.hard_link(from, path)?;
            continue;
        }
        first.insert(*id, path);
        match &node.body {
            Body::Dir(_) => top.make_dir(path, 0o700)?,
            Body::Link(target) => top.make_link(target, path)?,
            Body::File(content) => {
                let mut file = top.create_file(path, 0o600)?;
                file.write_all(content)?;
                file.set_mode(node.mode)?;
                file.set_mtime(node.mtime)?;
            }
        }
    }
    let mut identities = HashMap::new();
    // The content of a directory is written before its mtime is set.
    for (path, id) in everything.iter().rev() {
        let node = &image.nodes[*id];
        let stat = match (&node.body, path.as_str()) {
            (Body::Dir(_), "") => {
                top.set_own_meta(node.mode, node.mtime)?;
                Some(top.own_stat()?)
            }
            (Body::Dir(_), path) => {
                top.open_dir(path)?.set_own_meta(node.mode, node.mtime)?;
                top.stat(path)?
            }
            (Body::Link(_), path) => {
                top.set_mtime(path, node.mtime)?;
                top.stat(path)?
            }
            (Body::File(_), path) => top.stat(path)?,
        };
        identities.extend(stat.map(|stat| (stat.identity, node.identity)));
    }
    Ok(identities)
}
