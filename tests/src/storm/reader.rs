use std::fs;
use std::io::{self, Read};
use std::time::Instant;

use tljournal::{Error, Journal};
use tljournal_testkit::{Snapshot, Tell, tell};

use super::material::{LINK, PAIR, TREE, is_no_tree, is_whole};
use super::{Done, Worker};

impl Worker {
    /// Checks repeatedly what others do, with the shared lock and without.
    ///
    /// # Errors
    /// When the journal refuses, or the storm has ended.
    pub fn read(&mut self) -> Done {
        let journal = self.open()?;
        let mut were_there = [false; 4];
        loop {
            if let Some(what) = pair_differs(&journal)? {
                tell(&Tell::Violation(what))?;
            }
            for (at, path) in PAIR.iter().enumerate() {
                match fs::read_to_string(self.world.path(path)) {
                    Ok(text) if is_whole(&text) => were_there[at] = true,
                    Err(error) if error.kind() == io::ErrorKind::NotFound && !were_there[at] => {}
                    found => tell(&Tell::Violation(format!("G3: `{path}`: {found:?}")))?,
                }
            }
            for (at, path) in [(2, LINK), (3, TREE)] {
                match self.world.exists(path) {
                    true => were_there[at] = true,
                    false if were_there[at] => {
                        tell(&Tell::Violation(format!("G3: `{path}` is missing")))?;
                    }
                    false => {}
                }
            }
            if let Some(pin) = journal.pin(TREE)? {
                let found = Snapshot::of(pin.path().as_str().into());
                if let Some(differences) = is_no_tree(&found) {
                    let text = format!("G3, G7: a pinned tree is {differences:?}");
                    tell(&Tell::Violation(text))?;
                }
            }
            tell(&Tell::Read)?;
        }
    }
}

/// How the two files differ; waits for the shared lock, and reports the wait.
fn pair_differs(journal: &Journal) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let reading = journal.read()?;
    tell(&Tell::Waited(begun.elapsed()))?;
    let read = |path| -> Result<Option<String>, Error> {
        let file = reading.open(path)?;
        Ok(file.map(|mut file| {
            let mut text = String::new();
            match file.read_to_string(&mut text) {
                Ok(_) => text,
                Err(error) => error.to_string(),
            }
        }))
    };
    let (left, right) = (read(PAIR[0])?, read(PAIR[1])?);
    Ok((left != right).then(|| format!("G1: the pair disagrees: {left:?} and {right:?}")))
}
