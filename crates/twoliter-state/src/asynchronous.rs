//! The same calls for asynchronous code.

use std::sync::Arc;
use std::thread::JoinHandle;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::workers::{self, NoThread};
use tljournal::{Digest, Installed};
use tokio::sync::oneshot;

use crate::{Artifact, Error, Kit, KitOptions, Outputs, Published, State, Tools, Verified};

/// The state of a project, for tasks of tokio.
///
/// Each call owns its data and runs to its end on a thread of its own: a dropped future loses the result, but leaves
/// no unfinished transaction. (Tokio's pool of blocking threads is not used, because it delays the shutdown of its
/// runtime, and a wait for a lock can be long.) If the system cannot start a thread, the call runs on the task's
/// thread.
#[derive(Debug, Clone)]
pub struct AsyncState {
    state: Arc<State>,
}

impl AsyncState {
    /// Opens the state of the project in this directory.
    ///
    /// # Errors
    /// The errors of [`State::open`].
    pub async fn open(project: impl Into<Utf8PathBuf>) -> Result<Self, Error> {
        let project = project.into();
        let state = on_a_thread(move || State::open(project)).await?;
        Ok(Self::from(state))
    }

    /// The state itself, for calls that do not wait.
    #[must_use]
    pub fn blocking(&self) -> &State {
        &self.state
    }

    /// Runs `work` with the state on a thread of its own.
    ///
    /// # Errors
    /// The error of `work`, or [`Error::Thread`].
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&State) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let state = self.state.clone();
        on_a_thread(move || work(&state)).await
    }

    /// As [`State::install_tools`].
    ///
    /// # Errors
    /// The same errors.
    pub async fn install_tools(&self, dir: &str, tools: Tools) -> Result<Installed, Error> {
        let dir = dir.to_owned();
        self.run(move |state| state.install_tools(&dir, &tools))
            .await
    }

    /// As [`State::write_tags`].
    ///
    /// # Errors
    /// The same errors.
    pub async fn write_tags(&self, dir: &str, verified: Verified) -> Result<bool, Error> {
        let dir = dir.to_owned();
        self.run(move |state| state.write_tags(&dir, &verified))
            .await
    }

    /// As [`State::cleanup_existing_tags`].
    ///
    /// # Errors
    /// The same errors.
    pub async fn cleanup_existing_tags(&self, dir: &str) -> Result<bool, Error> {
        let dir = dir.to_owned();
        self.run(move |state| state.cleanup_existing_tags(&dir))
            .await
    }

    /// As [`State::pull`]. `pull` runs on the thread of the call, and may wait there for a runtime.
    ///
    /// # Errors
    /// The same errors; [`Error::Thread`] where there is no room for that thread: a task cannot wait for its runtime.
    pub async fn pull<F, E>(&self, path: &str, digest: Digest, pull: F) -> Result<Installed, Error>
    where
        F: FnOnce(&Utf8Path) -> Result<(), E> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let (state, path) = (self.state.clone(), path.to_owned());
        match begin(move || state.pull(&path, digest, pull)) {
            Ok(begun) => begun.end().await,
            Err(NoThread { source, .. }) => Err(Error::Thread { source }),
        }
    }

    /// As [`State::unpack_kit`].
    ///
    /// # Errors
    /// The same errors.
    pub async fn unpack_kit(
        &self,
        layout: impl Into<Utf8PathBuf>,
        path: &str,
        options: KitOptions,
    ) -> Result<Kit, Error> {
        let (layout, path) = (layout.into(), path.to_owned());
        self.run(move |state| state.unpack_kit(&layout, &path, options))
            .await
    }

    /// As [`State::write_file`].
    ///
    /// # Errors
    /// The same errors.
    pub async fn write_file(&self, path: &str, content: impl Into<Vec<u8>>) -> Result<bool, Error> {
        let (path, content) = (path.to_owned(), content.into());
        self.run(move |state| state.write_file(&path, content))
            .await
    }

    /// As [`State::publish`].
    ///
    /// # Errors
    /// The same errors.
    pub async fn publish(&self, artifact: Artifact, outputs: Outputs) -> Result<Published, Error> {
        self.run(move |state| state.publish(&artifact, &outputs))
            .await
    }

    /// As [`State::flip_latest`].
    ///
    /// # Errors
    /// The same errors.
    pub async fn flip_latest(&self, dir: &str, target: &str) -> Result<bool, Error> {
        let (dir, target) = (dir.to_owned(), target.to_owned());
        self.run(move |state| state.flip_latest(&dir, &target))
            .await
    }

    /// Ends the run, if this is its last handle.
    ///
    /// # Errors
    /// The errors of [`State::close`].
    pub async fn close(self) -> Result<(), Error> {
        match Arc::into_inner(self.state) {
            Some(state) => on_a_thread(move || state.close()).await,
            None => Ok(()),
        }
    }
}

impl From<State> for AsyncState {
    fn from(state: State) -> Self {
        let state = Arc::new(state);
        Self { state }
    }
}

/// Runs `work` to its end even if the future is dropped: on a thread if one can be started.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match begin(work) {
        Ok(begun) => begun.end().await,
        Err(NoThread { given, source }) => {
            tracing::debug!(error = %source, "failed to start a thread; the call runs on the thread of its task");
            given()
        }
    }
}

/// Work on a thread of its own.
struct Begun<T> {
    answered: oneshot::Receiver<Result<T, Error>>,
    thread: JoinHandle<()>,
}

fn begin<T: Send + 'static, W: FnOnce() -> Result<T, Error> + Send + 'static>(
    work: W,
) -> Result<Begun<T>, NoThread<W>> {
    let (answer, answered) = oneshot::channel();
    let thread = workers::detached("twoliter-state", work, move |work| {
        // The receiver may be gone.
        let _ = answer.send(work());
    })?;
    Ok(Begun { answered, thread })
}

impl<T> Begun<T> {
    async fn end(self) -> Result<T, Error> {
        match self.answered.await {
            Ok(done) => done,
            // It ended without a result, so it panicked: propagate the panic.
            Err(_) => match self.thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => Err(Error::Thread {
                    source: std::io::ErrorKind::Interrupted.into(),
                }),
            },
        }
    }
}
