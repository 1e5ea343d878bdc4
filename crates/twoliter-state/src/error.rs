use crate::LayoutError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tools that are embedded in the program cannot be read.
    #[error("failed to read the embedded tools")]
    Tools {
        /// The cause.
        source: std::io::Error,
    },
    /// The system cannot start a thread for an asynchronous call.
    #[cfg(feature = "tokio")]
    #[error("failed to start a thread")]
    Thread {
        /// The cause.
        source: std::io::Error,
    },
    /// An image could not be pulled.
    #[error("failed to pull the image for `{path}`")]
    Pull {
        /// The path of the image.
        path: String,
        /// The error of the function that pulls.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An existing or pulled directory is not a valid image layout.
    #[error("failed to use the image layout `{path}`")]
    Layout {
        /// The directory.
        path: String,
        /// The cause.
        source: LayoutError,
    },
    /// A path is unusable.
    #[error("failed to find the directory `{path}`")]
    Directory {
        /// The path.
        path: camino::Utf8PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Outputs or their markers cannot be read.
    #[error("failed to read `{path}`")]
    Outputs {
        /// The path.
        path: camino::Utf8PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An error of the journal.
    #[error(transparent)]
    Journal(#[from] tljournal::Error),
}

impl Error {
    pub(crate) fn layout(path: &str, source: LayoutError) -> Self {
        let path = path.escape_debug().to_string();
        Self::Layout { path, source }
    }
}
