use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// The ranges of a file that hold data, up to a length; the rest are holes. Moves the file position.
///
/// # Errors
/// The system's error. A filesystem without holes reports data everywhere.
pub(crate) fn data_in(file: &File, length: u64) -> io::Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < length {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(errno) => return Err(errno.into()),
        };
        let end = match rustix::fs::seek(file, SeekFrom::Hole(start)) {
            Ok(end) => end.min(length),
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NXIO) => length,
            Err(errno) => return Err(errno.into()),
        };
        if start < end {
            found.push(start..end);
        }
        at = end.max(start + 1);
    }
    Ok(found)
}
