use tljournal::Digest;
use tljournal::disk::DiskError;

/// An image layout cannot be used. Files are named below it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A file is not there.
    #[error("failed to read `{file}`: it is missing; the image has to be pulled again")]
    Missing {
        /// The file.
        file: String,
    },
    /// A blob is shorter or longer than was said of it.
    #[error(
        "failed to read `{file}`: it has {found} bytes, and was to have {expected}; the image has to be pulled again"
    )]
    Size {
        /// The blob.
        file: String,
        /// How long it was to be.
        expected: u64,
        /// How long it is.
        found: u64,
    },
    /// A blob is not the one that its name says.
    #[error(
        "failed to read `{file}`: its content is {found}, and was to be {expected}; the image has to be pulled again"
    )]
    Content {
        /// The blob.
        file: String,
        /// What its content was to be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A document does not say what it has to.
    #[error("failed to understand `{file}`")]
    Document {
        /// The document.
        file: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A document is longer than documents are.
    #[error("failed to read `{file}`: it has {bytes} bytes, and may have {max}")]
    TooLong {
        /// The document.
        file: String,
        /// How long it is.
        bytes: u64,
        /// How long it may be.
        max: u64,
    },
    /// The layout follows another specification.
    #[error("failed to use the layout: it is of version {version}, and only 1.0.0 is known")]
    Version {
        /// What it says.
        version: String,
    },
    /// It is what `docker save` wrote once, and no layout of the Open Container Initiative.
    #[error(
        "failed to use the layout: it is a docker archive; convert it: `skopeo copy docker-archive:FILE oci:DIR`"
    )]
    Docker,
    /// A blob is named in another way than by its SHA-256.
    #[error("failed to find the blob `{digest}`: only digests of the algorithm sha256 are known")]
    Algorithm {
        /// Its name.
        digest: String,
    },
    /// Something is of a type that is not known here.
    #[error("failed to use the {what} `{digest}`: its media type `{media_type}` is not known")]
    MediaType {
        /// What it was to be.
        what: &'static str,
        /// Its name.
        digest: String,
        /// What it says that it is.
        media_type: String,
    },
    /// Indexes list indexes, or images, without an end.
    #[error("failed to look through the layout: {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
    /// No image is the one that was asked for.
    #[error("failed to find the image {wanted}; there is {there}")]
    NoImage {
        /// What was asked for.
        wanted: String,
        /// What is there.
        there: String,
    },
    /// Several images are what was asked for.
    #[error("failed to choose between several images; there is {there}")]
    Ambiguous {
        /// What is there.
        there: String,
    },
    /// The filesystem refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
