use tljournal::Digest;
use tljournal::disk::DiskError;

/// An image layout cannot be used. Paths of files are relative to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A file is missing.
    #[error("failed to read `{file}`: it is missing; pull the image again")]
    Missing {
        /// The file.
        file: String,
    },
    /// A blob has the wrong size.
    #[error(
        "failed to read `{file}`: it has {found} bytes instead of {expected}; pull the image again"
    )]
    Size {
        /// The blob.
        file: String,
        /// The expected size.
        expected: u64,
        /// The actual size.
        found: u64,
    },
    /// A blob does not have the digest in its name.
    #[error(
        "failed to read `{file}`: its digest is {found} instead of {expected}; pull the image again"
    )]
    Content {
        /// The blob.
        file: String,
        /// The expected digest.
        expected: Digest,
        /// The actual digest.
        found: Digest,
    },
    /// A document cannot be parsed.
    #[error("failed to parse `{file}`")]
    Document {
        /// The document.
        file: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// A document is too long.
    #[error("failed to read `{file}`: it has {bytes} bytes; the limit is {max}")]
    TooLong {
        /// The document.
        file: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The layout has an unsupported version.
    #[error("failed to use the layout: it is of version {version}, and only 1.0.0 is known")]
    Version {
        /// The version.
        version: String,
    },
    /// The directory is an archive of `docker save`, not an OCI image layout.
    #[error(
        "failed to use the layout: it is a docker archive; convert it: `skopeo copy docker-archive:FILE oci:DIR`"
    )]
    Docker,
    /// A blob is named by an algorithm other than SHA-256.
    #[error("failed to find the blob `{digest}`: only digests of the algorithm sha256 are known")]
    Algorithm {
        /// The name of the blob.
        digest: String,
    },
    /// A media type is not supported.
    #[error("failed to use the {what} `{digest}`: its media type `{media_type}` is not known")]
    MediaType {
        /// The expected kind.
        what: &'static str,
        /// The name of the blob.
        digest: String,
        /// Its media type.
        media_type: String,
    },
    /// Indexes list too many indexes or images.
    #[error("failed to look through the layout: {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
    /// No image meets the criteria.
    #[error("failed to find the image {wanted}; there is {there}")]
    NoImage {
        /// The criteria.
        wanted: String,
        /// The images of the layout.
        there: String,
    },
    /// Several images meet the criteria.
    #[error("failed to choose between several images; there is {there}")]
    Ambiguous {
        /// The images of the layout.
        there: String,
    },
    /// A system call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
