//! What happens at the events of an ensemble: members that are due are measured, estimated and told.

use phasegrid_proto::v1;
use tch::Tensor;

use super::course::Event;
use super::ensemble::Ensemble;
use crate::geometry;
use crate::llc::{self, Subject};
use crate::surroundings::TaskEnd;

/// A member at its event.
struct Due {
    /// Its row in the ensemble.
    e: usize,
    event: Event,
    /// `[D]`
    weights: Tensor,
    measured: v1::Record,
    /// Whether a record is told that was not told before.
    tells: bool,
}

impl Ensemble<'_> {
    /// Records the members that are due, and lets them pass.
    pub(super) fn record(&mut self) {
        let due = self.due();
        let sampled = due.iter().filter(|due| due.tells && due.event.llc);
        let subjects: Vec<Subject> = sampled.map(|due| self.subject(due)).collect();
        // All at once: on an accelerator they are one program.
        let place = self.place;
        let estimates = match subjects.as_slice() {
            [] => Vec::new(),
            subjects => llc::estimates(subjects, place.device, place.permits, place.surroundings),
        };
        let mut estimates = estimates.into_iter();
        let mut record = |due: &Due| {
            let estimates = if due.event.llc { estimates.next() } else { None };
            self.complete(due, estimates.unwrap_or_default())
        };
        let records: Vec<_> = due.iter().map(|due| due.tells.then(|| record(due))).collect();
        for (due, record) in due.into_iter().zip(records) {
            self.pass(&due, record);
        }
    }

    fn due(&mut self) -> Vec<Due> {
        let place = self.place;
        self.program();
        let Self { members, program: Some(program), .. } = self else { unreachable!("it was just made") };
        let events = || members.iter().enumerate().filter_map(|(e, member)| Some((e, member.due()?)));
        let measured = program.measure(members, &events().map(|(e, _)| e).collect::<Vec<_>>(), place);
        let due = |((e, event), measured): ((usize, Event), v1::Record)| {
            let finite = measured.train_loss.is_some();
            let tells = event.record && finite && !members[e].has_told(event.step);
            Due { e, event, weights: program.weights(e), measured, tells }
        };
        events().zip(measured).map(due).collect()
    }

    fn subject<'b>(&'b self, due: &'b Due) -> Subject<'b> {
        let member = &self.members[due.e];
        let (number, task, examples) = (member.number, &member.task, &member.examples);
        Subject { number, task, examples, weights: &due.weights, step: due.event.step }
    }

    /// The record of a member: what was measured of all who are due at once, and what is found of each by itself.
    fn complete(&self, due: &Due, estimates: Vec<v1::Estimate>) -> v1::Record {
        let (subject, place) = (self.subject(due), self.place);
        let mut record = v1::Record { step: subject.step, estimates, ..due.measured.clone() };
        if due.event.geometry {
            geometry::measure(&subject, place.device, &mut record, &|| place.surroundings.stopped(subject.number));
        }
        record
    }

    /// Lets a member pass its event, and tells its record if there is one to tell.
    fn pass(&mut self, due: &Due, record: Option<v1::Record>) {
        let surroundings = self.place.surroundings;
        let Due { e, event, ref measured, tells, .. } = *due;
        let member = &mut self.members[e];
        let number = member.number;
        if measured.train_loss.is_none() {
            return member.diverge(event.step);
        }
        if surroundings.stopped(number) {
            member.end = Some(TaskEnd::Stopped); // before the estimates were complete, perhaps
            return;
        }
        record.into_iter().for_each(|record| member.tell(record, surroundings));
        member.pass(event, measured.val_accuracy);
        surroundings.progress(number, member.course.share(&member.at));
        if tells && member.end.is_none() && surroundings.wants_snapshot(number) {
            // Should memory be out in the middle of a step, the member need not go back any further.
            member.saved = self.program.as_ref().map(|program| program.save(e, member));
            let snapshot = member.saved.as_ref().and_then(|saved| member.snapshot(saved));
            snapshot.into_iter().for_each(|snapshot| surroundings.keep_snapshot(number, snapshot));
        }
    }
}
