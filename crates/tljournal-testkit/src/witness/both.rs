use std::io;

use tljournal::Stat;
use tljournal::disk::{Call, Lacks, Witness};

/// Two witnesses of the same calls, in this order.
#[derive(Debug)]
pub struct Both<A, B>(pub A, pub B);

impl<A: Witness, B: Witness> Witness for Both<A, B> {
    fn before(&self, call: &Call<'_>) -> io::Result<()> {
        self.0.before(call)?;
        self.1.before(call)
    }

    fn found(&self, stat: &mut Stat) {
        self.0.found(stat);
        self.1.found(stat);
    }

    fn lacks(&self) -> Lacks {
        let (one, two) = (self.0.lacks(), self.1.lacks());
        Lacks {
            openat2: one.openat2 || two.openat2,
            birth_times: one.birth_times || two.birth_times,
            syncfs: one.syncfs || two.syncfs,
            flock: one.flock || two.flock,
            byte_locks: one.byte_locks || two.byte_locks,
        }
    }

    fn write_bytes_max(&self) -> Option<usize> {
        let (one, two) = (self.0.write_bytes_max(), self.1.write_bytes_max());
        one.into_iter().chain(two).min()
    }

    fn after(&self, call: &Call<'_>, made: Result<(), &io::Error>) {
        self.0.after(call, made);
        self.1.after(call, made);
    }
}
