//! Request: what becomes of the messages that the client has of a partition.

use sink::kafka::ErrorCode;

use super::{Message, SimKafka, State, Told};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A broker stores it and says so, or refuses it as it must.
    Answered,
    /// A broker stores it, and its answer is on its way.
    Stored,
    /// A broker refuses it for now.
    Rejected,
    /// It is stored, and nobody will ever know whether it was.
    UnknownStored,
    /// It is not, and nobody will ever know either.
    UnknownLost,
    /// The same, and a broker has it, and stores it later.
    UnknownLate,
    /// It is lost, and the client concludes from the next answer of the partition that it was stored.
    Concluded,
}

/// What happens to brokers and to what is on its way to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaStep {
    /// A request of so many messages, of one partition of those that have any.
    Request(usize, usize, Fate),
    /// The client hears of one stored message, of any.
    Hear(usize),
    /// It hears of the one that was stored last, before all others.
    HearLast,
    /// From now on brokers store what they have of the dead behind the next read-back, and not before.
    Tardy,
    /// Another producer has taken the place of this one.
    Fence,
    /// No broker answers, or they do again.
    Away(bool),
    /// A broker starts anew. It has what it stored; answers are lost, and the client sends again.
    Restart,
    /// Topics are deleted.
    Delete,
    /// They are made anew; others have written so many messages to each partition before.
    Create(usize),
    /// A request has so many bytes of values at most; `None`: as many as it likes.
    Limit(Option<u64>),
    /// The client takes nothing, or does again.
    Full(bool),
    /// The agent cannot keep its offsets, or can again.
    KeepsNothing(bool),
}

impl SimKafka {
    /// Does a step.
    pub fn step(&self, step: KafkaStep) {
        match step {
            KafkaStep::Request(which, messages, fate) => self.request(which, messages, fate),
            KafkaStep::Hear(number) => self.hear(number),
            KafkaStep::HearLast => {
                let last = self.lock().untold.pop();
                self.tell(last.into_iter().collect());
            }
            KafkaStep::Tardy => self.lock().conduct.is_tardy = true,
            KafkaStep::Fence => self.end_producer(ErrorCode::ProducerFenced),
            KafkaStep::Away(is_away) => self.lock().conduct.is_away = is_away,
            KafkaStep::Restart => self.lock().restart(),
            KafkaStep::Delete => self.lock().delete(),
            KafkaStep::Create(foreign) => {
                self.lock().topics.values_mut().for_each(|it| it.create(foreign));
            }
            KafkaStep::Limit(bytes) => self.lock().conduct.request_bytes_max = bytes,
            KafkaStep::Full(is_full) => self.lock().conduct.is_full = is_full,
            KafkaStep::KeepsNothing(it) => self.lock().conduct.keeps_nothing = it,
        }
    }

    /// Answers all requests if brokers answer at once.
    pub fn answer(&self) {
        if !self.lock().conduct.is_slow {
            self.answer_all();
        }
    }

    /// Answers all requests, unless no broker answers.
    pub fn answer_all(&self) {
        loop {
            let before = self.lock().queued.len();
            self.request(0, usize::MAX, Fate::Answered);
            if self.lock().queued.len() == before {
                break;
            }
        }
        while !self.lock().untold.is_empty() && !self.lock().conduct.is_away {
            self.hear(0);
        }
    }

    /// One request has its fate.
    pub fn request(&self, which: usize, messages: usize, fate: Fate) {
        let mut state = self.lock();
        if state.conduct.is_away && matches!(fate, Fate::Answered | Fate::Stored | Fate::Rejected) {
            return;
        }
        let request = state.take(which, messages);
        if request.is_empty() {
            return;
        }
        let refusal = state.refusal(&request);
        match (fate, refusal) {
            (Fate::Rejected, _) => {
                drop(state);
                self.fail(request, ErrorCode::TopicAuthorizationFailed);
            }
            (Fate::Answered | Fate::Stored, Some(code)) => {
                drop(state);
                self.fail(request, code);
            }
            (Fate::Answered, None) => {
                let told = state.store_all(request);
                drop(state);
                self.tell(told);
            }
            (Fate::Stored, None) => {
                let told = state.store_all(request);
                state.untold.extend(told);
            }
            (Fate::Concluded, _) => {
                let life = state.life;
                state.holed.push(life);
                drop(state);
                for message in request {
                    let (partition, report) = (message.partition, message.report);
                    report.into_iter().for_each(|it| it.stored(partition, -1));
                }
            }
            (Fate::UnknownStored | Fate::UnknownLost | Fate::UnknownLate, refusal) => {
                match fate {
                    Fate::UnknownStored if refusal.is_none() => drop(state.store_all_of(&request)),
                    Fate::UnknownLate if refusal.is_none() => {
                        let late = request.iter().filter(|it| it.place.is_none());
                        let late: Vec<Message> = late.map(Message::copy).collect();
                        state.late.extend(late);
                    }
                    _ => {}
                }
                drop(state);
                for message in request {
                    message.report.into_iter().for_each(|it| it.failed(ErrorCode::Fatal));
                }
                // Behind such a failure the client sends nothing any more.
                self.end_producer(ErrorCode::PurgeQueue);
            }
        }
    }

    /// The client hears of one stored message.
    fn hear(&self, number: usize) {
        let mut state = self.lock();
        if state.untold.is_empty() || state.conduct.is_away {
            return;
        }
        // Of each partition in order.
        let number = number % state.untold.len();
        let message = &state.untold[number].message;
        let place = (message.topic.clone(), message.partition);
        let first = state
            .untold
            .iter()
            .position(|it| (&it.message.topic, it.message.partition) == (&place.0, place.1));
        let told = state.untold.remove(first.unwrap_or(number));
        drop(state);
        self.tell(vec![told]);
    }

    /// The client hears that these are stored.
    fn tell(&self, told: Vec<Told>) {
        for Told { message, number, offset } in told {
            self.lock().stored[number].is_acked = true;
            if let Some(report) = message.report {
                report.stored(message.partition, offset);
            }
        }
    }

    /// The client hears that these are not stored.
    fn fail(&self, request: Vec<Message>, code: ErrorCode) {
        let mut state = self.lock();
        state.refused += request.len() as u64;
        let life = state.life;
        state.holed.push(life);
        for (number, _) in request.iter().filter_map(|it| it.place) {
            // It is there since the first time, or was, which a client that is refused the second cannot know.
            state.comes_again(number, life);
        }
        drop(state);
        for message in request {
            message.report.into_iter().for_each(|it| it.failed(code));
        }
    }

    /// The producer sends nothing any more; what it had fails.
    fn end_producer(&self, code: ErrorCode) {
        let mut state = self.lock();
        let queued: Vec<Message> = state.queued.drain(..).collect();
        let untold: Vec<Told> = state.untold.drain(..).collect();
        drop(state);
        for message in untold.into_iter().map(|it| it.message).chain(queued) {
            message.report.into_iter().for_each(|it| it.failed(code));
        }
    }
}

impl State {
    /// Takes the next request of a partition out of what the client has.
    fn take(&mut self, which: usize, messages: usize) -> Vec<Message> {
        let mut places: Vec<(&str, i32)> = Vec::new();
        for message in &self.queued {
            let place = (message.topic.as_str(), message.partition);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let Some((topic, partition)) = places.get(which % places.len().max(1)) else {
            return Vec::new();
        };
        let (topic, partition) = ((*topic).to_owned(), *partition);
        let (mut request, mut rest) = (Vec::new(), std::collections::VecDeque::new());
        for message in self.queued.drain(..) {
            let is_of = message.topic == topic && message.partition == partition;
            if is_of && request.len() < messages {
                request.push(message);
            } else {
                rest.push_back(message);
            }
        }
        self.queued = rest;
        request
    }

    fn store_all(&mut self, request: Vec<Message>) -> Vec<Told> {
        let places = self.store_all_of(&request);
        let told = request.into_iter().zip(places);
        told.map(|(message, (number, offset))| Told { message, number, offset }).collect()
    }

    fn store_all_of(&mut self, request: &[Message]) -> Vec<(usize, i64)> {
        request.iter().map(|it| self.store(it).expect("the topic is there")).collect()
    }

    /// What was stored and not told is sent again, under the same sequence numbers.
    fn restart(&mut self) {
        for told in std::mem::take(&mut self.untold).into_iter().rev() {
            let place = Some((told.number, told.offset));
            self.queued.push_front(Message { place, ..told.message });
        }
    }

    /// All topics are gone, and what was in them.
    fn delete(&mut self) {
        let life = self.life + u32::from(self.is_running);
        let gone: Vec<usize> = self.topics.values_mut().flat_map(super::Topic::delete).collect();
        for number in gone {
            self.comes_again(number, life);
        }
        // A broker has no place for them any more.
        self.late.clear();
    }
}
