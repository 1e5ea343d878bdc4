use crate::LayoutError;

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
    /// An image could not be pulled.
    #[error("failed to pull the image for `{path}`")]
    Pull {
        /// Where it was to be.
        path: String,
        /// What whoever pulled it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is, or was pulled, in a directory is not the image layout that it was to be.
    #[error("failed to use the image layout `{path}`")]
    Layout {
        /// The directory.
        path: String,
        /// What is wrong with it.
        source: LayoutError,
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

impl Error {
    pub(crate) fn layout(path: &str, source: LayoutError) -> Self {
        let path = path.escape_debug().to_string();
        Self::Layout { path, source }
    }
}
