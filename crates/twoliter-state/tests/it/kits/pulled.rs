use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use twoliter_state::{Error, LayoutError, State};

use super::images::{blob, copy, digest_in, has_tools, kit, layers_in};
use super::{CACHE, project, told};

/// Damages a layout.
type Spoil = fn(&Utf8Path);

/// A registry that counts its pulls, which copy a layout.
#[derive(Clone)]
struct Registry {
    layout: Utf8PathBuf,
    pulls: Arc<AtomicUsize>,
}

impl Registry {
    fn new(layout: Utf8PathBuf) -> Self {
        let pulls = Arc::default();
        Self { layout, pulls }
    }

    fn pull(&self, state: &State) -> Result<bool, Error> {
        self.pull_and(state, |_| {})
    }

    /// Pulls, and damages the result before it is checked.
    fn pull_and(
        &self,
        state: &State,
        spoil: impl FnOnce(&Utf8Path) + Send + 'static,
    ) -> Result<bool, Error> {
        let registry = self.clone();
        let pulled = state.pull(
            CACHE,
            digest_in(&self.layout),
            move |dir| -> io::Result<()> {
                registry.pulls.fetch_add(1, Ordering::SeqCst);
                copy(&registry.layout, dir);
                spoil(dir);
                Ok(())
            },
        );
        pulled.map(|pulled| pulled.changed)
    }

    fn pulls(&self) -> usize {
        self.pulls.load(Ordering::SeqCst)
    }
}

#[test]
fn an_image_is_pulled_once() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let registry = Registry::new(kit(&outside, "1"));
    assert!(registry.pull(&state).unwrap());
    let before = world.snapshot();
    assert!(!registry.pull(&state).unwrap());
    assert!(!registry.pull(&State::with(world.open())).unwrap());
    assert!(world.snapshot().matches(&before));
    assert_eq!(registry.pulls(), 1);
}

#[test]
fn an_incomplete_pull_is_named_and_leaves_nothing() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let registry = Registry::new(kit(&outside, "1"));
    let layer = layers_in(&registry.layout)[1];
    let spoils: [(&str, Spoil); 5] = [
        ("index.json`: it is missing", |dir| {
            fs::remove_file(dir.join("index.json")).unwrap()
        }),
        ("oci-layout`: it is missing", |dir| {
            fs::remove_file(dir.join("oci-layout")).unwrap()
        }),
        ("it is missing; pull the image again", |dir| {
            fs::remove_file(blob(dir, layers_in(dir)[1])).unwrap();
        }),
        ("bytes instead of", |dir| {
            fs::write(blob(dir, layers_in(dir)[1]), "short").unwrap();
        }),
        ("its digest is sha256:", |dir| {
            let path = blob(dir, layers_in(dir)[1]);
            let mut bytes = fs::read(&path).unwrap();
            bytes[20] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
    ];
    for (index, (word, spoil)) in spoils.into_iter().enumerate() {
        let error = registry.pull_and(&state, spoil).unwrap_err();
        let told = told(&error);
        assert!(matches!(error, Error::Layout { .. }), "{told}");
        assert!(
            told.contains(word) && told.contains(CACHE),
            "{word}: {told}"
        );
        assert!(index < 2 || told.contains(&layer.hex()), "{told}");
        assert!(!world.exists(CACHE), "{told}");
        assert!(world.left_in_staging().is_empty());
    }
    let refused = state.pull(CACHE, digest_in(&registry.layout), |_| {
        Err(io::Error::other("krane: unauthorized"))
    });
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::Pull { .. }), "{error:?}");
    assert!(told(&error).contains("unauthorized"));
    assert!(registry.pull(&state).unwrap());
}

#[test]
fn another_image_than_the_wanted_one_is_refused() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let (wanted, other) = (kit(&outside, "1"), kit(&outside, "2"));
    let error = state.pull(CACHE, digest_in(&wanted), move |dir| -> io::Result<()> {
        copy(&other, dir);
        Ok(())
    });
    let error = error.unwrap_err();
    let Error::Layout {
        source: LayoutError::NoImage { .. },
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert!(told(&error).contains(&digest_in(&wanted).to_string()));
    assert!(!world.exists(CACHE));
}

/// A killed pull left a directory, which upstream treated as a complete image from then on.
#[test]
fn a_damaged_cache_is_pulled_again_and_a_complete_one_kept() {
    if !has_tools() {
        return;
    }
    let poisons: [(bool, Spoil); 4] = [
        (false, |_| {}),
        (true, |dir| fs::remove_file(dir.join("index.json")).unwrap()),
        (true, |dir| {
            fs::remove_file(blob(dir, layers_in(dir)[0])).unwrap()
        }),
        (true, |dir| {
            let path = blob(dir, layers_in(dir)[2]);
            let cut = fs::metadata(&path).unwrap().len() - 1;
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(cut)
                .unwrap();
        }),
    ];
    for (is_poisoned, poison) in poisons {
        let (world, state, outside) = project();
        let registry = Registry::new(kit(&outside, "1"));
        fs::create_dir_all(world.path(CACHE)).unwrap();
        copy(&registry.layout, &world.path(CACHE));
        poison(&world.path(CACHE));
        assert_eq!(registry.pull(&state).unwrap(), is_poisoned);
        assert_eq!(registry.pulls(), usize::from(is_poisoned));
        assert!(!registry.pull(&state).unwrap());
        assert_eq!(state.journal().verify(CACHE, true).unwrap(), []);
        assert!(world.exists(&format!("{CACHE}/index.json")));
    }
    let (world, state, outside) = project();
    fs::create_dir_all(world.path(CACHE)).unwrap();
    assert!(Registry::new(kit(&outside, "1")).pull(&state).unwrap());
}
