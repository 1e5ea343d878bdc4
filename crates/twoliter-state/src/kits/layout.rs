use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::{
    Descriptor, DigestAlgorithm, ImageIndex, ImageManifest, OciLayout, Platform,
};
use serde::de::DeserializeOwned;
use tljournal::disk::{Dir, Disk};
use tljournal::{Digest, Kind};

use super::error::LayoutError;

/// The longest document that is read, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// The largest depth of nested indexes.
const LEVELS_MAX: usize = 4;
/// The largest number of indexes and manifests.
const DOCUMENTS_MAX: usize = 1000;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// An OCI image layout.
#[derive(Debug)]
pub(super) struct Layout {
    dir: Dir,
}

/// A blob that something in the layout names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// An image: its descriptor in an index, and its manifest, which may be missing: a tool that copies the image of one
/// platform copies the index of all.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) digest: Digest,
    pub(super) platform: Option<Platform>,
    pub(super) manifest: Result<ImageManifest, LayoutError>,
}

/// The content of the indexes of a layout.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Indexes and manifests.
    pub(super) documents: BTreeSet<Digest>,
    pub(super) images: Vec<Image>,
    /// Why an entry of an index cannot be used as an image, if there is one.
    pub(super) unusable: Option<LayoutError>,
}

impl Layout {
    /// Opens the layout in a directory, and checks that it is one.
    pub(super) fn open(path: &Utf8Path) -> Result<Self, LayoutError> {
        let dir = Dir::open(path, Disk::default())?;
        let layout = Self { dir };
        let marker = match layout.read("oci-layout") {
            Err(LayoutError::Missing { .. }) if layout.dir.stat("manifest.json")?.is_some() => {
                return Err(LayoutError::Docker);
            }
            read => read?,
        };
        let marker: OciLayout = layout.parse("oci-layout", &marker)?;
        match marker.image_layout_version().as_str() {
            "1.0.0" => Ok(layout),
            version => Err(LayoutError::Version {
                version: version.escape_debug().to_string(),
            }),
        }
    }

    /// Reads all indexes and manifests.
    pub(super) fn contents(&self) -> Result<Contents, LayoutError> {
        let index: ImageIndex = self.parse("index.json", &self.read("index.json")?)?;
        let mut contents = Contents::default();
        self.add(&index, None, 1, &mut contents)?;
        Ok(contents)
    }

    fn add(
        &self,
        index: &ImageIndex,
        platform: Option<&Platform>,
        level: usize,
        contents: &mut Contents,
    ) -> Result<(), LayoutError> {
        if level > LEVELS_MAX {
            let what = "indexes list indexes, more than four levels deep";
            return Err(LayoutError::TooMuch { what });
        }
        for listed in index.manifests() {
            let digest = match Blob::of(listed) {
                Ok(blob) => blob.digest,
                Err(error) => {
                    contents.unusable.get_or_insert(error);
                    continue;
                }
            };
            let platform = listed.platform().as_ref().or(platform);
            if !contents.documents.insert(digest) {
                continue;
            }
            if contents.documents.len() > DOCUMENTS_MAX {
                let what = "it has more than 1000 images";
                return Err(LayoutError::TooMuch { what });
            }
            match listed.media_type().as_ref() {
                OCI_INDEX | DOCKER_INDEX => match self.document(listed) {
                    Ok(inner) => self.add(&inner, platform, level + 1, contents)?,
                    Err(error @ LayoutError::Missing { .. }) => {
                        contents.unusable.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                },
                OCI_MANIFEST | DOCKER_MANIFEST => contents.images.push(Image {
                    digest,
                    platform: platform.cloned(),
                    manifest: self.document(listed),
                }),
                other => {
                    contents.unusable.get_or_insert(LayoutError::MediaType {
                        what: "image",
                        digest: digest.to_string(),
                        media_type: other.escape_debug().to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The path of a blob, if it exists with the right size.
    pub(super) fn find(&self, blob: Blob) -> Result<Utf8PathBuf, LayoutError> {
        let file = blob.file();
        match self.dir.stat(&file) {
            Ok(Some(stat)) if stat.kind != Kind::File => Err(LayoutError::Missing { file }),
            Ok(Some(stat)) if stat.size != blob.size => Err(LayoutError::Size {
                file,
                expected: blob.size,
                found: stat.size,
            }),
            Ok(Some(_)) => Ok(self.dir.path().join(file)),
            Ok(None) => Err(LayoutError::Missing { file }),
            Err(error) => Err(missing(file, error)),
        }
    }

    /// Reads a blob to its end, and compares its digest with its name.
    pub(super) fn check(&self, blob: Blob) -> Result<(), LayoutError> {
        self.find(blob)?;
        let file = blob.file();
        let found = self.dir.hash(&self.dir.open_file(&file)?, &file)?;
        blob.refuse_other(found)
    }

    fn document<T: DeserializeOwned>(&self, listed: &Descriptor) -> Result<T, LayoutError> {
        let blob = Blob::of(listed)?;
        self.find(blob)?;
        let bytes = self.read(&blob.file())?;
        blob.refuse_other(Digest::of(&bytes))?;
        self.parse(&blob.file(), &bytes)
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, LayoutError> {
        let stat = match self.dir.stat(file) {
            Ok(Some(stat)) if stat.kind == Kind::File => stat,
            Ok(_) => {
                let file = file.to_owned();
                return Err(LayoutError::Missing { file });
            }
            Err(error) => return Err(missing(file.to_owned(), error)),
        };
        if stat.size > DOCUMENT_BYTES_MAX {
            return Err(LayoutError::TooLong {
                file: file.to_owned(),
                bytes: stat.size,
                max: DOCUMENT_BYTES_MAX,
            });
        }
        let read = self.dir.read_small(file, DOCUMENT_BYTES_MAX)?;
        read.ok_or_else(|| LayoutError::Missing {
            file: file.to_owned(),
        })
    }

    fn parse<T: DeserializeOwned>(&self, file: &str, bytes: &[u8]) -> Result<T, LayoutError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        serde_json::from_slice(bytes).map_err(|source| LayoutError::Document {
            file: file.to_owned(),
            source,
        })
    }
}

impl Blob {
    /// The blob that a descriptor names.
    pub(super) fn of(descriptor: &Descriptor) -> Result<Self, LayoutError> {
        let named = descriptor.digest();
        let unknown = || LayoutError::Algorithm {
            digest: named.to_string().escape_debug().to_string(),
        };
        if *named.algorithm() != DigestAlgorithm::Sha256 {
            return Err(unknown());
        }
        let digest = named.as_ref().parse().map_err(|_| unknown())?;
        let size = descriptor.size();
        Ok(Self { digest, size })
    }

    /// The path of its file below the layout.
    pub(super) fn file(self) -> String {
        format!("blobs/sha256/{}", self.digest.hex())
    }

    pub(super) fn refuse_other(self, found: Digest) -> Result<(), LayoutError> {
        if found == self.digest {
            return Ok(());
        }
        Err(LayoutError::Content {
            file: self.file(),
            expected: self.digest,
            found,
        })
    }
}

/// A missing directory on the way counts as a missing file.
fn missing(file: String, error: tljournal::disk::DiskError) -> LayoutError {
    match error.io().kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            LayoutError::Missing { file }
        }
        _ => error.into(),
    }
}
