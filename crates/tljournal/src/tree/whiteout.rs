//! Applies the whiteouts of a layer to the layers below it.

use super::TreeError;
use super::names::{self, join, parent};
use super::unpack::{Content, Node, NodeKind, Unpacker};

/// The prefix of the name of an entry that removes another one.
const WHITEOUT: &str = ".wh.";
/// The entry that removes everything that lower layers have in its directory.
const OPAQUE: &str = ".wh..wh..opq";

impl Unpacker<'_> {
    /// Starts the next layer: entries added from now on are above the existing ones.
    pub(super) fn begin_layer(&mut self) {
        self.layer = Some(self.layer.map_or(1, |layer| layer + 1));
        self.whiteouts.clear();
    }

    /// Applies a whiteout, which is not an entry of the tree; returns whether the path is one.
    pub(super) fn is_whiteout(&mut self, path: &str) -> Result<bool, TreeError> {
        let Some(layer) = self.layer else {
            return Ok(false);
        };
        let (dir, name) = (parent(path), path.rsplit('/').next().unwrap_or_default());
        let refuse = |why| {
            let entry = names::shown(path);
            Err(TreeError::Name { entry, why })
        };
        if dir.split('/').any(|part| part.starts_with(WHITEOUT)) {
            return refuse("it lies below a whiteout");
        }
        let Some(hidden) = name.strip_prefix(WHITEOUT) else {
            return Ok(false);
        };
        let mut above = dir;
        while !self.has_dir(above, path)? {
            above = parent(above);
        }
        match hidden {
            "" | "." | ".." => return refuse("it is a whiteout of nothing"),
            // The directory does not exist, so there is nothing to hide.
            _ if above != dir => {}
            // Applied before; searching again could take very long.
            _ if self.whiteouts.contains(path) => {}
            _ => {
                self.list(path, 0)?;
                self.whiteouts.insert(path.to_owned());
                match name {
                    OPAQUE => self.take_out(dir, false, layer)?,
                    _ => self.take_out(&join(dir, hidden), true, layer)?,
                }
            }
        }
        Ok(true)
    }

    /// Removes what conflicts with the next entry of a layer.
    pub(super) fn make_room(&mut self, path: &str, content: &Content<'_>) -> Result<(), TreeError> {
        let Some(node) = self.nodes.get(path).filter(|_| self.layer.is_some()) else {
            return Ok(());
        };
        let is_dir = matches!(node.kind, NodeKind::Dir { .. });
        if path.is_empty() || is_dir == matches!(content, Content::Dir) {
            return Ok(());
        }
        self.take_out(path, true, u32::MAX)
    }

    /// Removes what is below `top`, and `top` itself if `with_top`, as far as it comes from earlier layers.
    /// Directories with newer content stay as if they were not listed.
    fn take_out(&mut self, top: &str, with_top: bool, layer: u32) -> Result<(), TreeError> {
        let below = match top {
            "" => self.nodes.range("\u{1}".to_owned()..),
            _ => self.nodes.range(format!("{top}/")..format!("{top}0")),
        };
        let own = self.nodes.get_key_value(top).filter(|_| with_top);
        let older = own.into_iter().chain(below);
        let older = older.filter(|(_, node)| node.layer < layer);
        let paths: Vec<_> = older.map(|(path, _)| path.clone()).collect();
        if paths.is_empty() {
            return Ok(());
        }
        // The file must be written and linked before it is removed.
        self.settle()?;
        // A directory sorts before its content.
        for path in paths.into_iter().rev() {
            let kind = self.nodes.get(&path).map(|node| &node.kind);
            if !matches!(kind, Some(NodeKind::Dir { .. })) {
                self.root.remove_file(&path)?;
            } else if self.is_empty(&path) {
                self.root.remove_dir(&path)?;
            } else {
                self.insert(path, Node::implied_dir())?;
                continue;
            }
            self.nodes.remove(&path);
        }
        Ok(())
    }

    fn is_empty(&self, dir: &str) -> bool {
        let (from, to) = (format!("{dir}/"), format!("{dir}0"));
        self.nodes.range(from..to).next().is_none()
    }
}
