use super::check::{Check, Stop};
use super::{Code, Finding};

impl Check<'_> {
    /// Reports runs that are not running and recorded no end.
    pub(super) fn runs(&mut self) -> Result<(), Stop> {
        let look = self.look;
        let open = look.ask(|catalog| catalog.open_runs())?;
        let mut dead = Vec::new();
        for run in open {
            if !look.is_alive(run.id)? {
                dead.push(run.id);
            }
        }
        if dead.is_empty() {
            return Ok(());
        }
        // A run that ended after the list was read recorded its end before it released its byte.
        let still = look.ask(|catalog| catalog.open_runs())?;
        dead.retain(|run| still.iter().any(|open| open.id == *run));
        for id in dead {
            let run = look.run(id);
            let name = run
                .as_ref()
                .map_or_else(|| id.to_string(), |run| run.number.to_string());
            let mut finding = Finding::new(Code::RunDead, format!("run {name}"))
                .expected("its end")
                .actual("it is no longer running");
            finding.run = run;
            self.tell(finding)?;
        }
        Ok(())
    }
}
