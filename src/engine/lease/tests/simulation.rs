//! Two or three replicas, one Lease, and everything that can go wrong between them, on virtual time.
//!
//! Every replica has a wall clock that is wrong and jumps, and a monotonic clock that goes up to a tenth too fast or too
//! slow. Requests and answers are late or lost; processes are stopped and go on, crash, and start again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;

/// True time, in microseconds.
type Instant = u64;

const SECOND: Instant = 1_000_000;

/// How bad the world is.
#[derive(Clone, Copy, Debug)]
struct World {
    replicas: usize,
    terms: Terms,
    /// Longest way of a request or an answer.
    latency: Instant,
    /// Of a thousand messages, how many are lost.
    lost: u64,
    /// Of a thousand events, how many stop, crash or end the process concerned.
    stops: u64,
    crashes: u64,
    /// In thousandths, how much too fast or too slow monotonic clocks are at most.
    drift: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum Event {
    /// A replica may have something to do.
    Wake,
    /// A request reaches the server.
    Arrive { call: u64, write: Option<Box<Lease>> },
    /// An answer reaches its replica: refused, or the Lease as it is.
    Answer { call: u64, sent: Moment, wrote: bool, answer: Box<Result<Option<Lease>, ()>> },
    /// A replica waits no longer for an answer.
    GiveUp { call: u64 },
}

struct Replica {
    candidate: Candidate,
    /// Every process has a name of its own.
    process: usize,
    /// Monotonic clock: what it showed at true time zero, and its rate in thousandths.
    offset: Moment,
    rate: u64,
    /// What the wall clock is wrong by.
    skew: i64,
    /// The call that it waits for, and since when.
    call: Option<(u64, Moment)>,
    /// Stopped until then; what comes meanwhile is seen afterwards.
    stopped_until: Instant,
    is_dead: bool,
    led: bool,
}

impl Replica {
    fn local(&self, now: Instant) -> Moment {
        self.offset + Duration::from_micros(now * self.rate / 1000)
    }

    /// The first true time at which the monotonic clock shows a moment.
    fn when(&self, moment: Moment) -> Instant {
        let micros = u64::try_from(moment.saturating_sub(self.offset).as_micros()).unwrap();
        (micros * 1000).div_ceil(self.rate)
    }
}

struct Simulation {
    world: World,
    state: u64,
    now: Instant,
    events: BTreeMap<(Instant, u64), (usize, Event)>,
    next: u64,
    server: Option<Lease>,
    version: u64,
    replicas: Vec<Replica>,
    processes: usize,
    /// Since when nobody leads who could go on.
    leaderless: Option<Instant>,
    take_overs: Vec<Instant>,
    losses: usize,
    /// Losses that a leader noticed by another name in the Lease.
    taken: usize,
    /// When two led at the same time, and which processes.
    doubles: Vec<(Instant, Vec<usize>)>,
}

impl Simulation {
    fn new(world: World, seed: u64) -> Self {
        let mut simulation = Self {
            world,
            state: seed,
            now: 0,
            events: BTreeMap::new(),
            next: 0,
            server: None,
            version: 0,
            replicas: Vec::new(),
            processes: 0,
            leaderless: Some(0),
            take_overs: Vec::new(),
            losses: 0,
            taken: 0,
            doubles: Vec::new(),
        };
        for at in 0..world.replicas {
            let replica = simulation.process();
            simulation.replicas.push(replica);
            let first = simulation.dice(2 * SECOND);
            simulation.push(first, at, Event::Wake);
        }
        simulation
    }

    fn dice(&mut self, sides: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides.max(1)
    }

    fn process(&mut self) -> Replica {
        self.processes += 1;
        let process = self.processes;
        Replica {
            candidate: Candidate::new("orchestrator", &format!("process-{process}"), self.world.terms),
            process,
            offset: Duration::from_micros(self.dice(1000 * SECOND)),
            rate: 1000 - self.world.drift + self.dice(2 * self.world.drift + 1),
            skew: i64::try_from(self.dice(172_800)).unwrap() - 86_400,
            call: None,
            stopped_until: 0,
            is_dead: false,
            led: false,
        }
    }

    fn push(&mut self, at: Instant, replica: usize, event: Event) {
        self.next += 1;
        self.events.insert((at, self.next), (replica, event));
    }

    /// A message is under way: mostly fast, seldom as slow as the world allows, sometimes for ever.
    fn send(&mut self, replica: usize, event: Event) {
        let longest = if self.dice(10) < 8 { self.world.latency / 50 } else { self.world.latency };
        let delay = 100 + self.dice(longest);
        if self.dice(1000) >= self.world.lost {
            self.push(self.now + delay, replica, event);
        }
    }

    fn run(&mut self, end: Instant) {
        while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            let Some(((at, _), (replica, event))) = self.events.pop_first() else { return };
            self.now = at;
            if matches!(event, Event::Arrive { .. }) {
                self.serve(replica, event);
                continue;
            }
            let stopped_until = self.replicas[replica].stopped_until;
            if self.replicas[replica].is_dead {
                self.restart(replica);
            } else if stopped_until > at {
                self.push(stopped_until, replica, event);
            } else if self.dice(1000) < self.world.stops {
                let pause = self.dice(40 * SECOND);
                self.replicas[replica].stopped_until = at + pause;
                self.push(at + pause, replica, event);
            } else if self.dice(1000) < self.world.crashes {
                self.crash(replica);
            } else {
                self.take(replica, event);
            }
        }
        self.now = end;
    }

    fn crash(&mut self, replica: usize) {
        if self.leads(replica) {
            self.leaderless = Some(self.now);
        }
        // Not before others could take over.
        let later = self.now + 20 * SECOND + self.dice(40 * SECOND);
        self.die(replica, later);
    }

    /// Ends a process. Another one starts later.
    fn die(&mut self, replica: usize, later: Instant) {
        self.replicas[replica].is_dead = true;
        // What is on its way to the server arrives all the same.
        self.events.retain(|_, (of, event)| *of != replica || matches!(event, Event::Arrive { .. }));
        self.push(later, replica, Event::Wake);
    }

    fn restart(&mut self, replica: usize) {
        self.replicas[replica] = self.process();
        self.push(self.now, replica, Event::Wake);
    }

    /// What the API server does: resourceVersions are honoured, and what changes nothing is no change.
    fn serve(&mut self, replica: usize, event: Event) {
        let Event::Arrive { call, write } = event else { return };
        let sent = self.replicas[replica].call.filter(|(of, _)| *of == call).map_or(Moment::ZERO, |of| of.1);
        let wrote = write.is_some();
        let answer = match write {
            None => Ok(self.server.clone()),
            Some(lease) => {
                let held = self.server.as_ref().and_then(|held| held.metadata.resource_version.clone());
                if lease.metadata.resource_version == held {
                    let mut lease = *lease;
                    if self.server.as_ref().is_none_or(|held| held.spec != lease.spec) {
                        self.version += 1;
                    }
                    lease.metadata.resource_version = Some(self.version.to_string());
                    self.server = Some(lease.clone());
                    Ok(Some(lease))
                } else {
                    Err(())
                }
            }
        };
        self.send(replica, Event::Answer { call, sent, wrote, answer: Box::new(answer) });
    }

    /// What the shell does.
    fn take(&mut self, at: usize, event: Event) {
        let now = self.replicas[at].local(self.now);
        let replica = &mut self.replicas[at];
        let is_awaited = |call: &u64| replica.call.is_some_and(|(awaited, _)| awaited == *call);
        match event {
            Event::Answer { call, sent, wrote, answer } if is_awaited(&call) => {
                replica.call = None;
                match (*answer, wrote) {
                    (Ok(Some(lease)), true) => replica.candidate.written(lease, sent, now),
                    (Ok(lease), _) => replica.candidate.read(lease, now),
                    (Err(()), _) => replica.candidate.refused(now),
                }
            }
            Event::GiveUp { call } if is_awaited(&call) => {
                replica.call = None;
                replica.candidate.failed(now);
            }
            Event::Wake if replica.call.is_none() => {}
            Event::Wake | Event::Answer { .. } | Event::GiveUp { .. } | Event::Arrive { .. } => return,
        }
        self.check(at);
        let wall = self.now.cast_signed() / 1_000_000 + self.replicas[at].skew;
        let wall = Timestamp::from_second(1_800_000_000 + wall).unwrap();
        if self.dice(50) == 0 {
            self.replicas[at].skew = i64::try_from(self.dice(172_800)).unwrap() - 86_400;
        }
        let write = match self.replicas[at].candidate.next(now, wall) {
            Step::Wait(until) => {
                let until = self.replicas[at].when(until);
                return self.push(until.max(self.now), at, Event::Wake);
            }
            Step::Lost(loss) => {
                self.losses += 1;
                self.taken += usize::from(loss != Loss::Overdue);
                if self.replicas.iter().all(|replica| !replica.candidate.leads(now)) {
                    self.leaderless = self.leaderless.or(Some(self.now));
                }
                let later = self.now + self.dice(10 * SECOND);
                return self.die(at, later);
            }
            Step::Read => None,
            Step::Write(lease) => Some(lease),
        };
        self.next += 1;
        let call = self.next;
        let replica = &mut self.replicas[at];
        replica.call = Some((call, now));
        let mut give_up = now + self.world.terms.call_timeout();
        if let Some(until) = replica.candidate.leads_until() {
            give_up = give_up.min(until);
        }
        let give_up = replica.when(give_up);
        self.push(give_up, at, Event::GiveUp { call });
        self.send(at, Event::Arrive { call, write });
    }

    /// Whether a replica believes that it leads, alive or stopped.
    fn leads(&self, at: usize) -> bool {
        let replica = &self.replicas[at];
        !replica.is_dead && replica.candidate.leads(replica.local(self.now))
    }

    fn check(&mut self, at: usize) {
        let leaders: Vec<usize> = (0..self.replicas.len())
            .filter(|at| self.leads(*at))
            .map(|at| self.replicas[at].process)
            .collect();
        if leaders.len() > 1 {
            self.doubles.push((self.now, leaders));
        }
        if self.leads(at) && !self.replicas[at].led {
            self.replicas[at].led = true;
            if let Some(since) = self.leaderless.take() {
                self.take_overs.push(self.now - since);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    /// Whatever the network and the clocks do, as long as monotonic clocks differ by less than the duration and the
    /// renew deadline do.
    #[test]
    fn never_two_lead_at_the_same_instant(
        replicas in 2_usize..=3,
        latency in prop_oneof![Just(SECOND / 10), Just(2 * SECOND), Just(30 * SECOND)],
        lost in 0_u64..300,
        stops in 0_u64..20,
        crashes in 0_u64..20,
        drift in prop_oneof![Just(0_u64), Just(100)],
        seed in any::<u64>(),
    ) {
        let terms = Terms::default();
        let mut simulation = Simulation::new(World { replicas, terms, latency, lost, stops, crashes, drift }, seed);
        simulation.run(600 * SECOND);
        assert!(simulation.doubles.is_empty(), "{:?}", simulation.doubles);
        // It stops before anybody may take over, so that it never gets to read another name.
        assert_eq!(simulation.taken, 0);
    }

    /// When calls take at most 0.2 s, and nothing is lost but leaders.
    #[test]
    fn a_dead_leader_is_replaced_within_the_duration_and_two_seconds(
        replicas in 2_usize..=3, seed in any::<u64>(),
    ) {
        let terms = Terms::default();
        let world = World { replicas, terms, latency: SECOND / 10, lost: 0, stops: 0, crashes: 0, drift: 0 };
        let mut simulation = Simulation::new(world, seed);
        for round in 1..=10 {
            simulation.run(round * 60 * SECOND);
            let leader = (0..replicas).find(|at| simulation.leads(*at)).expect("somebody leads");
            simulation.crash(leader);
        }
        assert_eq!(simulation.take_overs.len(), 10);
        let (first, later) = simulation.take_overs.split_first().unwrap();
        assert!(*first <= 3 * SECOND, "{first}");
        assert!(later.iter().all(|time| *time <= 17 * SECOND), "{:?}", simulation.take_overs);
        assert_eq!(simulation.losses, 0);
        assert!(simulation.doubles.is_empty(), "{:?}", simulation.doubles);
    }
}

/// The dice must fall on everything that the properties speak of, or they would hold for nothing.
#[test]
fn the_schedules_hold_take_overs_and_losses_and_would_show_two_leaders() {
    let run = |terms: Terms| {
        let (mut take_overs, mut losses, mut doubles) = (0, 0, 0);
        for seed in 0..50 {
            let world = World {
                replicas: 3,
                terms,
                latency: 2 * SECOND,
                lost: 150,
                stops: 10,
                crashes: 5,
                drift: 100,
            };
            let mut simulation = Simulation::new(world, seed);
            simulation.run(600 * SECOND);
            take_overs += simulation.take_overs.len();
            losses += simulation.losses;
            doubles += simulation.doubles.len();
        }
        println!("{terms:?}: {take_overs} take-overs, {losses} losses, {doubles} times two leaders");
        (take_overs, losses, doubles)
    };
    let (take_overs, losses, doubles) = run(Terms::default());
    assert!(take_overs > 200 && losses > 100 && doubles == 0);
    // What `Terms::new` refuses.
    let (_, _, doubles) = run(Terms { renew_deadline: Duration::from_secs(25), ..Terms::default() });
    assert!(doubles > 100);
}
