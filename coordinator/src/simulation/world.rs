//! Time, the network, and what goes wrong. Everything that happens is an event in one queue, and all chance is drawn from
//! the seed: the same seed is the same course of events.

use std::collections::BTreeMap;
use std::time::Duration;

use phasegrid_proto::v1;

use super::bugs::Bug;
use super::calls::{Answer, Request};
use super::chance::Chance;
use super::disk::Shared;
use super::host::{Host, Out, Ticket};
use super::people::Person;
use super::worker::{Kind, Worker};
use crate::scheduler::Moment;
use crate::service::Refusal;

/// Something that happens.
pub(super) enum Event {
    /// A message reaches the coordinator.
    Arrives(Ticket, Request),
    Reported(Ticket, v1::ReportRequest, bool),
    /// A message reaches who asked.
    Answered(Ticket, Result<Answer, Refusal>),
    Verdict(Ticket, Option<v1::Verdict>),
    /// Who asked has waited long enough.
    TimedOut(Ticket),
    /// The coordinator learns of it.
    HungUp(Ticket),
    /// The coordinator minds the time, and its disk has a turn.
    Wake,
    Write,
    /// A worker computes; it sends a heartbeat; it dies or freezes, and is there again.
    Compute(usize),
    Beat(usize),
    Die(usize),
    Freeze(usize),
    Born(usize),
    /// The network to a worker is cut, and mended.
    Cut(usize),
    Mended(usize),
    /// The coordinator dies, and is there again; its clock jumps.
    Crash,
    Boot,
    Jump,
    /// The disk is full, and has room again.
    Full,
    Room,
    /// A person does something.
    Wish,
    /// From now on nothing goes wrong any more.
    Calm,
}

/// Who waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Call(usize, Kind),
    Stream(usize),
    Person,
}

pub(super) struct Node {
    pub(super) worker: Option<Worker>,
    lives: u32,
    slots: usize,
    frozen_until: Moment,
    cut: bool,
    /// The stream of reports, and when the last message on it arrives.
    stream: Option<(Ticket, Moment)>,
}

pub(super) struct World {
    pub(super) now: Moment,
    events: BTreeMap<(Moment, u64), Event>,
    numbers: u64,
    pub(super) chance: Chance,
    pub(super) disk: Shared,
    pub(super) host: Option<Host>,
    nodes: Vec<Node>,
    askers: BTreeMap<Ticket, Asker>,
    /// Streams up to this one led to a process that is no more: nothing on them arrives.
    reset: Ticket,
    /// When the coordinator is already going to be woken, and to write.
    wake: Option<Moment>,
    write: bool,
    pub(super) person: Person,
    pub(super) calm: bool,
    /// How much a lease covers.
    lease_target: Duration,
    /// Of a thousand messages so many are lost, and so many come twice; of a thousand steps so many tasks fail.
    lost: u64,
    doubled: u64,
    failures: u64,
}

/// Faults end here.
const CALM: Moment = Duration::from_secs(240);
/// How long who asked waits for an answer.
const PATIENCE: Duration = Duration::from_secs(8);

impl World {
    pub(super) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut chance = Chance::new(seed);
        let disk = Shared::new(seed, bug);
        let nodes = (0..chance.between(1, 4)).map(|_| Node {
            worker: None,
            lives: 0,
            slots: usize::try_from(chance.between(1, 3)).expect("few"),
            frozen_until: Moment::ZERO,
            cut: false,
            stream: None,
        });
        let nodes: Vec<_> = nodes.collect();
        let (lost, doubled, failures) = (chance.below(60), chance.below(60), chance.below(40));
        let lease_target = chance.seconds(5, 100);
        let mut world = Self {
            now: Moment::ZERO,
            events: BTreeMap::new(),
            numbers: 0,
            person: Person::new(&mut chance),
            chance,
            disk,
            host: None,
            nodes,
            askers: BTreeMap::new(),
            reset: 0,
            wake: None,
            write: false,
            calm: false,
            lease_target,
            lost,
            doubled,
            failures,
        };
        world.plan();
        world
    }

    fn plan(&mut self) {
        self.after(Duration::ZERO, Event::Boot);
        self.after(Duration::ZERO, Event::Wish);
        (0..self.nodes.len()).for_each(|node| self.after(Duration::ZERO, Event::Born(node)));
        self.at(CALM, Event::Calm);
        let end = CALM.as_secs() - 1;
        for (most, event) in [
            (3, (|_| Event::Crash) as fn(usize) -> Event),
            (2, |_| Event::Jump),
            (2, |_| Event::Full),
            (3, Event::Die),
            (2, Event::Freeze),
            (2, Event::Cut),
        ] {
            for _ in 0..self.chance.between(0, most) {
                let (at, node) = (self.chance.seconds(0, end), self.node());
                self.at(at, event(node));
            }
        }
        let mut disk = self.disk.get();
        disk.faults.unwritten = self.chance.below(20);
        disk.faults.unsaid = self.chance.below(20);
    }

    fn node(&mut self) -> usize {
        usize::try_from(self.chance.below(self.nodes.len() as u64)).expect("few")
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn at(&mut self, time: Moment, event: Event) {
        let number = self.number();
        self.events.insert((time, number), event);
    }

    pub(super) fn after(&mut self, time: Duration, event: Event) {
        self.at(self.now + time, event);
    }

    /// The next event happens. False if there is none before `end`.
    pub(super) fn step(&mut self, end: Moment) -> bool {
        let Some(((time, _), event)) = self.events.pop_first().filter(|((time, _), _)| *time < end) else {
            return false;
        };
        self.now = time;
        self.happen(event);
        self.serve();
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(ticket, request) => {
                if let Some(host) = &mut self.host {
                    host.take(ticket, request);
                }
            }
            Event::Reported(ticket, request, again) => match &mut self.host {
                Some(host) if ticket > self.reset => host.report(ticket, request, again),
                _ => {}
            },
            Event::Answered(ticket, answer) => self.on_answer(ticket, answer),
            Event::Verdict(ticket, verdict) => self.on_verdict(ticket, verdict),
            Event::TimedOut(ticket) => self.on_time_out(ticket),
            Event::HungUp(ticket) => {
                if let Some(host) = &mut self.host {
                    host.hang_up(ticket);
                }
            }
            Event::Wake => self.wake = None,
            Event::Write => {
                self.write = false;
                if let Some(host) = &mut self.host {
                    host.write();
                }
            }
            Event::Compute(node) => self.on_compute(node),
            Event::Beat(node) => {
                if let Some(worker) = &mut self.nodes[node].worker {
                    worker.beat();
                    self.after(Duration::from_secs(10), Event::Beat(node));
                }
            }
            Event::Calm => self.on_calm(),
            Event::Wish => self.on_wish(),
            Event::Boot if self.host.is_none() => {
                self.host = Some(Host::start(self.disk.clone(), self.lease_target, self.now));
                self.reset = self.number();
            }
            Event::Born(node) if self.nodes[node].worker.is_none() => self.on_born(node),
            Event::Room => self.disk.get().faults.full = false,
            Event::Mended(node) => self.nodes[node].cut = false,
            Event::Boot | Event::Born(_) => {}
            fault if !self.calm => self.go_wrong(fault),
            _ => {}
        }
    }

    fn go_wrong(&mut self, fault: Event) {
        match fault {
            Event::Crash => {
                self.host = None;
                let down = self.chance.seconds(0, 90);
                self.after(down, Event::Boot);
            }
            Event::Jump => {
                let ahead = self.chance.seconds(1, 200);
                self.host.iter_mut().for_each(|host| host.jump(ahead));
            }
            Event::Full => {
                self.disk.get().faults.full = true;
                let time = self.chance.seconds(1, 40);
                self.after(time, Event::Room);
            }
            Event::Die(node) => {
                self.nodes[node].worker = None;
                let time = self.chance.seconds(0, 100);
                self.after(time, Event::Born(node));
            }
            Event::Freeze(node) => self.nodes[node].frozen_until = self.now + self.chance.seconds(5, 150),
            Event::Cut(node) => {
                self.nodes[node].cut = true;
                let time = self.chance.seconds(5, 120);
                self.after(time, Event::Mended(node));
            }
            _ => {}
        }
    }

    fn on_calm(&mut self) {
        (self.calm, self.lost, self.doubled, self.failures) = (true, 0, 0, 0);
        let mut disk = self.disk.get();
        (disk.faults.full, disk.faults.unwritten, disk.faults.unsaid) = (false, 0, 0);
        drop(disk);
        self.nodes.iter_mut().for_each(|node| (node.cut, node.frozen_until) = (false, Moment::ZERO));
        self.after(Duration::ZERO, Event::Boot);
        (0..self.nodes.len()).for_each(|node| self.after(Duration::ZERO, Event::Born(node)));
    }

    /// The coordinator does what it can.
    fn serve(&mut self) {
        let late = self.chance.permille(200);
        let Some(host) = &mut self.host else { return };
        for out in host.turn(self.now, late) {
            match out {
                Out::Answer(ticket, answer) => {
                    if let Some(delay) = self.travel(ticket) {
                        self.after(delay, Event::Answered(ticket, answer));
                    }
                }
                Out::Verdict(ticket, verdict) => {
                    // On a stream nothing overtakes, and nothing is lost but the stream: the time is that of the way alone.
                    if !self.is_cut(ticket) {
                        self.after(Duration::from_millis(20), Event::Verdict(ticket, verdict));
                    }
                }
            }
        }
        if !self.write && self.host.as_ref().is_some_and(Host::has_worked) {
            self.write = true;
            let time = self.chance.millis(1, 30);
            self.after(time, Event::Write);
        }
        let Some(wake) = self.host.as_ref().map(|host| host.wake(self.now)) else { return };
        if self.wake.is_none_or(|earlier| wake < earlier) {
            self.wake = Some(wake);
            self.at(wake.max(self.now + Duration::from_millis(1)), Event::Wake);
        }
    }

    fn is_cut(&self, ticket: Ticket) -> bool {
        match self.askers.get(&ticket) {
            Some(Asker::Call(node, _) | Asker::Stream(node)) => self.nodes[*node].cut,
            Some(Asker::Person) => false,
            None => true,
        }
    }

    /// How long a message is on its way; none if it is lost.
    fn travel(&mut self, ticket: Ticket) -> Option<Duration> {
        if self.is_cut(ticket) || self.chance.permille(self.lost) {
            return None;
        }
        let slow = !self.calm && self.chance.permille(30);
        Some(if slow { self.chance.seconds(0, 40) } else { self.chance.millis(1, 150) })
    }

    fn send(&mut self, asker: Asker, request: Request) {
        let ticket = self.number();
        self.askers.insert(ticket, asker);
        let patience = match &request {
            Request::Lease { wait, .. } => *wait + PATIENCE,
            _ => PATIENCE,
        };
        self.after(patience, Event::TimedOut(ticket));
        let copies = if self.chance.permille(self.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            if let Some(delay) = self.travel(ticket) {
                self.after(delay, Event::Arrives(ticket, request.clone()));
            }
        }
    }

    fn on_born(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        place.lives += 1;
        place.worker = Some(Worker::new(format!("w{node}-{}", place.lives), place.slots));
        self.break_stream(node);
        self.askers.retain(|_, asker| !matches!(asker, Asker::Call(other, _) if *other == node));
        self.after(Duration::ZERO, Event::Compute(node));
        self.after(Duration::from_secs(10), Event::Beat(node));
    }

    fn on_compute(&mut self, node: usize) {
        if self.thaw(node, Event::Compute(node)).is_none() {
            return;
        }
        let Some(worker) = &mut self.nodes[node].worker else { return };
        worker.compute(&mut self.chance, &self.disk, self.failures);
        self.talk(node);
        let time = self.chance.millis(300, 2500);
        self.after(time, Event::Compute(node));
    }

    /// A frozen worker notices nothing until it thaws.
    fn thaw(&mut self, node: usize, event: Event) -> Option<Event> {
        let until = self.nodes[node].frozen_until;
        if until > self.now {
            self.at(until, event);
            return None;
        }
        Some(event)
    }

    /// The worker sends what it has to say.
    fn talk(&mut self, node: usize) {
        let Some(worker) = &mut self.nodes[node].worker else { return };
        let (wishes, reports) = (worker.wishes(&mut self.chance), worker.reports());
        for (kind, request) in wishes {
            self.send(Asker::Call(node, kind), request);
        }
        for (report, again) in reports {
            self.report(node, report, again);
        }
    }

    fn report(&mut self, node: usize, report: v1::ReportRequest, again: bool) {
        let (ticket, last) = match self.nodes[node].stream {
            Some(stream) => stream,
            None => {
                let ticket = self.number();
                self.askers.insert(ticket, Asker::Stream(node));
                (ticket, self.now)
            }
        };
        self.after(PATIENCE, Event::TimedOut(ticket));
        match self.travel(ticket) {
            Some(delay) => {
                let arrives = last.max(self.now + delay);
                self.nodes[node].stream = Some((ticket, arrives));
                self.at(arrives, Event::Reported(ticket, report, again));
            }
            // Nothing that is sent behind a lost message arrives before it: never.
            None => self.nodes[node].stream = Some((ticket, Moment::MAX)),
        }
    }

    fn break_stream(&mut self, node: usize) {
        if let Some((ticket, _)) = self.nodes[node].stream.take() {
            self.askers.remove(&ticket);
            self.hang_up(ticket);
        }
        self.nodes[node].worker.iter_mut().for_each(Worker::stream_broke);
    }

    /// The coordinator learns sooner or later that nobody listens any more.
    fn hang_up(&mut self, ticket: Ticket) {
        let time = self.chance.seconds(0, 20);
        self.after(time, Event::HungUp(ticket));
    }

    fn on_answer(&mut self, ticket: Ticket, answer: Result<Answer, Refusal>) {
        match self.askers.get(&ticket).copied() {
            Some(Asker::Person) => {
                self.askers.remove(&ticket);
                self.person.answered(answer);
            }
            Some(Asker::Call(node, kind)) => {
                let Some(Event::Answered(_, answer)) = self.thaw(node, Event::Answered(ticket, answer)) else { return };
                self.askers.remove(&ticket);
                let Some(worker) = &mut self.nodes[node].worker else { return };
                if worker.answered(kind, answer, &self.disk) {
                    self.talk(node);
                } else {
                    self.again(node, kind);
                }
            }
            Some(Asker::Stream(_)) | None => {}
        }
    }

    /// The same call goes out once more.
    fn again(&mut self, node: usize, kind: Kind) {
        let Some(worker) = &self.nodes[node].worker else { return };
        if let Some(request) = worker.calls.get(&kind).cloned() {
            self.send(Asker::Call(node, kind), request);
        }
        self.talk(node);
    }

    fn on_verdict(&mut self, ticket: Ticket, verdict: Option<v1::Verdict>) {
        let Some(Asker::Stream(node)) = self.askers.get(&ticket).copied() else { return };
        let Some(Event::Verdict(_, verdict)) = self.thaw(node, Event::Verdict(ticket, verdict)) else { return };
        match (verdict, &mut self.nodes[node].worker) {
            (Some(verdict), Some(worker)) => {
                worker.reported(verdict);
                self.talk(node);
            }
            _ => self.break_stream(node),
        }
    }

    fn on_time_out(&mut self, ticket: Ticket) {
        let Some(asker) = self.askers.get(&ticket).copied() else { return };
        match asker {
            Asker::Call(node, kind) => {
                if self.thaw(node, Event::TimedOut(ticket)).is_none() {
                    return;
                }
                self.askers.remove(&ticket);
                self.hang_up(ticket);
                self.again(node, kind);
            }
            // As long as answers come a stream is alive; here it is given up whenever one is late.
            Asker::Stream(node) => {
                if self.nodes[node].worker.as_ref().is_some_and(|worker| worker.under_way > 0) {
                    self.break_stream(node);
                }
            }
            Asker::Person => {
                self.askers.remove(&ticket);
                self.hang_up(ticket);
            }
        }
    }

    fn on_wish(&mut self) {
        if let Some(request) = self.person.wish(&mut self.chance, self.calm) {
            self.send(Asker::Person, request);
        }
        let time = self.chance.seconds(1, 10);
        self.after(time, Event::Wish);
    }
}
