use std::collections::BTreeMap;
use std::sync::Arc;

use tljournal::{Identity, Timestamp};

use super::record::{Name, Op, Touched};

/// The number of an inode in an image; the root is 0.
pub(super) type NodeId = usize;

/// The root of every image.
pub(super) const ROOT: NodeId = 0;

/// A directory tree, as the engine sees it.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) nodes: Vec<Node>,
}

/// One inode.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The identity that the engine sees.
    pub(super) identity: Identity,
    pub(super) mode: u32,
    pub(super) mtime: Timestamp,
    pub(super) body: Body,
}

/// The content of an inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Dir(BTreeMap<String, NodeId>),
    File(Arc<Vec<u8>>),
    Link(String),
}

impl Image {
    /// Adds an inode without a name.
    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The inode at a path below the root; the empty path is the root.
    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        parts.try_fold(ROOT, |at, part| self.entries(at)?.get(part).copied())
    }

    /// Every name with its inode, parents first; a file with several hard links occurs once for each.
    pub(super) fn walk(&self) -> Vec<(String, NodeId)> {
        let mut found = vec![(String::new(), ROOT)];
        let mut next = 0;
        while let Some((path, node)) = found.get(next).cloned() {
            next += 1;
            for (name, child) in self.entries(node).into_iter().flatten() {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}/{name}")
                };
                found.push((below, *child));
            }
        }
        found
    }

    /// Applies a change completely.
    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Add { at, node, dir } => {
                self.put(at, Some(*node));
                self.touch(dir);
            }
            Op::Remove { at, dir, .. } => {
                self.put(at, None);
                self.touch(dir);
            }
            Op::Move {
                from,
                to,
                node,
                dirs,
            } => {
                self.put(from, None);
                self.put(to, Some(*node));
                dirs.iter().for_each(|dir| self.touch(dir));
            }
            Op::Exchange { names, nodes, dirs } => {
                self.put(&names[0], Some(nodes[1]));
                self.put(&names[1], Some(nodes[0]));
                dirs.iter().for_each(|dir| self.touch(dir));
            }
            Op::Write {
                node,
                offset,
                data,
                mtime,
            } => {
                self.nodes[*node].mtime = *mtime;
                if let Body::File(content) = &mut self.nodes[*node].body {
                    write(Arc::make_mut(content), *offset as usize, data);
                }
            }
            Op::Truncate { node, size } => {
                if let Body::File(content) = &mut self.nodes[*node].body {
                    Arc::make_mut(content).resize(*size as usize, 0);
                }
            }
            Op::Mode { node, mode } => self.nodes[*node].mode = *mode,
            Op::Mtime { node, mtime } => self.nodes[*node].mtime = *mtime,
            Op::Sync { .. } | Op::SyncAll | Op::Nothing | Op::Told { .. } => {}
        }
    }

    fn entries(&self, node: NodeId) -> Option<&BTreeMap<String, NodeId>> {
        match &self.nodes[node].body {
            Body::Dir(entries) => Some(entries),
            Body::File(_) | Body::Link(_) => None,
        }
    }

    fn put(&mut self, at: &Name, node: Option<NodeId>) {
        if let Body::Dir(entries) = &mut self.nodes[at.dir].body {
            match node {
                Some(node) => entries.insert(at.name.clone(), node),
                None => entries.remove(&at.name),
            };
        }
    }

    fn touch(&mut self, dir: &Touched) {
        self.nodes[dir.dir].mtime = dir.mtime;
    }
}

/// Writes into content, which grows as needed.
pub(super) fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    content[offset..offset + data.len()].copy_from_slice(data);
}
