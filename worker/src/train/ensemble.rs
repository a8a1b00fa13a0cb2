//! An ensemble under way: members that step together, each from one event of its own course to the next.
//!
//! All of them advance by the least distance that any has to its next event; those that are due there are recorded, those that
//! have ended leave, and others may take their places. What a member computes does not depend on it.

use tch::{Device, Tensor};

use super::Place;
use super::member::Member;
use super::program::{Program, Rows};
use crate::host;
use crate::surroundings::TaskEnd;

/// Steps between looks at the losses: looking makes an accelerator wait.
const LOOK_EVERY: u64 = 100;

/// The members that are still running, and what they compute with.
pub(super) struct Ensemble<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) members: Vec<Member>,
    /// It is taken out while it changes, so that what a panic leaves here is where the members are. `None`, too, before
    /// anything was computed.
    pub(super) program: Option<Program>,
}

impl<'a> Ensemble<'a> {
    pub(super) fn new(members: Vec<Member>, place: &'a Place<'a>) -> Self {
        Self { place, members, program: None }
    }

    /// Runs until all have ended. As members leave, `newcomers` is asked for at most so many as then fit into `width`.
    pub(super) fn run(&mut self, width: usize, newcomers: &mut dyn FnMut(usize) -> Vec<Member>) {
        self.part();
        while !self.members.is_empty() {
            if self.members.iter().any(|member| member.due().is_some()) {
                self.record();
            } else {
                self.advance();
            }
            // Whoever comes may have nothing to do.
            while self.part() && !self.members.is_empty() {
                let room = width.saturating_sub(self.members.len());
                let come = if room > 0 { newcomers(room) } else { Vec::new() };
                if come.is_empty() {
                    break;
                }
                self.join(come);
            }
        }
    }

    /// What was computed, if it is where the members are.
    pub(super) fn program(&mut self) -> &mut Program {
        self.program.get_or_insert_with(|| Program::of(&self.members, self.place))
    }

    /// Steps to the next event of any member, or until losses are to be looked at or a member is no longer wanted.
    fn advance(&mut self) {
        let surroundings = self.place.surroundings;
        let distance = self.members.iter().map(Member::distance).min().unwrap_or(0);
        let steps = distance.min(LOOK_EVERY);
        self.program();
        let Some(mut program) = self.program.take() else { unreachable!("it was just made") };
        let mut losses = Vec::with_capacity(steps as usize);
        while (losses.len() as u64) < steps && !self.members.iter().any(|member| surroundings.stopped(member.number)) {
            losses.push(program.step(steps - losses.len() as u64));
        }
        let broken = first_not_finite(&losses, self.members.len());
        for (member, broken) in self.members.iter_mut().zip(broken) {
            if let Some(index) = broken {
                member.diverge(member.at.step + index as u64);
            } else if surroundings.stopped(member.number) {
                member.end = Some(TaskEnd::Stopped);
            }
            member.at.step += losses.len() as u64;
            surroundings.progress(member.number, member.course.share(&member.at));
        }
        self.program = Some(program);
    }

    /// Lets go of the members that have ended; whether there were any.
    fn part(&mut self) -> bool {
        let staying: Vec<usize> = (0..self.members.len()).filter(|e| self.members[*e].end.is_none()).collect();
        if staying.len() == self.members.len() {
            return false;
        }
        let program = self.program.take();
        self.members.retain_mut(|member| match member.end.take() {
            Some(end) => {
                self.place.surroundings.ended(member.number, end);
                false
            }
            None => true,
        });
        if !self.members.is_empty() {
            self.program = program.map(|program| program.keep(&staying, &self.members, self.place));
        }
        true
    }

    /// Takes further members in.
    fn join(&mut self, members: Vec<Member>) {
        let own = self.members.len();
        self.members.extend(members);
        // Should there be no memory for what they bring along, the others are still where they were.
        let rows = self.program.is_some().then(|| Rows::of(&self.members[own..], self.place));
        let joined = self.program.take().zip(rows);
        self.program = joined.map(|(program, rows)| program.join(rows, &self.members, self.place));
    }

    /// The members, each to go on where it is, or where it was last saved if a panic has left no tensors of it.
    pub(super) fn disband(self) -> Vec<Member> {
        let Self { mut members, program, .. } = self;
        for (e, member) in members.iter_mut().enumerate() {
            match &program {
                Some(program) if e < program.members() => member.saved = Some(program.save(e, member)),
                // A newcomer has not moved.
                _ => member.go_back(),
            }
        }
        members
    }
}

/// For each of E members the index of the first of `losses`, each [E], that is not finite.
fn first_not_finite(losses: &[Tensor], members: usize) -> Vec<Option<usize>> {
    if losses.is_empty() {
        return vec![None; members];
    }
    let history = Tensor::stack(losses, 1).to_device(Device::Cpu).to_kind(tch::Kind::Float); // [E, steps]
    let rows = host::slice::<f32>(&history).chunks_exact(losses.len());
    rows.map(|row| row.iter().position(|loss| !loss.is_finite())).collect()
}
