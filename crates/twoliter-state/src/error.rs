/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tools that are embedded in the program cannot be read.
    #[error("failed to read the embedded tools")]
    Tools {
        /// Why.
        source: std::io::Error,
    },
    /// The system has no thread for an asynchronous call.
    #[cfg(feature = "tokio")]
    #[error("failed to start a thread")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
    /// A path cannot be used.
    #[error("failed to find the directory `{path}`")]
    Directory {
        /// The path.
        path: camino::Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was built, or the markers that say whose it is, cannot be read.
    #[error("failed to read `{path}`")]
    Outputs {
        /// Where.
        path: camino::Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The journal says so.
    #[error(transparent)]
    Journal(#[from] tljournal::Error),
}
