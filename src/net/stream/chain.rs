//! The filters of a stream, and what lies between them.

// From the transport up: link 0 is the lowest. `below_in` of a link is what it has been given and has not
// taken, `below_out` what it has made of the output and is to go down. So bytes go
//   transport -> links[0].below_in -> links[1].below_in -> … -> input
//   output -> links[n].below_out -> … -> links[0].below_out -> transport

use std::any::Any;
use std::rc::Rc;

use crate::net::{Buffer, Filter, FilterError, Mode, Pass, Verdict};

#[derive(Default)]
pub(super) struct Chain {
    links: Vec<Link>,
    /// What went into the filters from the owner's side, and came out of them.
    pub(super) inner_in: u64,
    pub(super) inner_out: u64,
}

struct Link {
    filter: Box<dyn Filter>,
    below_in: Buffer,
    below_out: Buffer,
    /// It has said that its input is at its end.
    ended: bool,
    /// It was told that the output is.
    finished: bool,
}

/// What became of the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// All that can be made of it was.
    Done,
    /// The limit was reached.
    More,
    /// It is at its end.
    Ended { clean: bool },
}

impl Chain {
    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Puts a filter on top. What the owner has not read and not sent yet was meant for below it.
    pub(super) fn push(
        &mut self,
        filter: Box<dyn Filter>,
        input: Option<&mut Buffer>,
        output: Option<&mut Buffer>,
    ) {
        let mut link = Link {
            filter,
            below_in: Buffer::new(),
            below_out: Buffer::new(),
            ended: false,
            finished: false,
        };
        if let Some(input) = input {
            link.below_in.append_buffer(input);
        }
        if let Some(output) = output {
            link.below_out.append_buffer(output);
        }
        self.links.push(link);
    }

    /// Takes the top filter off. What it has made of the output goes first, before what is written from now
    /// on; what it was given and has not taken is input now.
    pub(super) fn pop(
        &mut self,
        input: &mut Buffer,
        output: &mut Buffer,
    ) -> Option<Box<dyn Filter>> {
        let mut link = self.links.pop()?;
        input.append_buffer(&mut link.below_in);
        output.prepend_buffer(&mut link.below_out);
        Some(link.filter)
    }

    /// What goes to the transport next.
    pub(super) fn lowest_output(&mut self) -> Option<&mut Buffer> {
        self.links.first_mut().map(|link| &mut link.below_out)
    }

    /// What has not left never will.
    pub(super) fn forget_output(&mut self) {
        for link in &mut self.links {
            link.below_out = Buffer::new();
        }
    }

    /// Where bytes of the transport go.
    pub(super) fn lowest_input(&mut self) -> Option<&mut Buffer> {
        self.links.first_mut().map(|link| &mut link.below_in)
    }

    pub(super) fn input_len(&self) -> usize {
        self.links.iter().map(|link| link.below_in.len()).sum()
    }

    pub(super) fn output_len(&self) -> usize {
        self.links.iter().map(|link| link.below_out.len()).sum()
    }

    pub(super) fn output_owned(&self) -> usize {
        self.links.iter().map(|link| link.below_out.owned_len()).sum()
    }

    /// Memory that its buffers take, in bytes.
    #[cfg(feature = "http-server")]
    pub(super) fn memory(&self) -> usize {
        let buffers = self.links.iter().flat_map(|link| [&link.below_in, &link.below_out]);
        buffers.map(Buffer::kept).sum()
    }

    /// Gives back the memory that holds nothing.
    pub(super) fn tidy(&mut self) {
        for link in &mut self.links {
            link.below_in.lessen();
            link.below_out.lessen();
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.links.iter().all(|link| link.filter.is_ready())
    }

    /// The topmost thing a filter has learnt that is a `T`.
    pub(super) fn info<T: Any>(&self) -> Option<Rc<T>> {
        self.links.iter().rev().find_map(|link| link.filter.info()?.downcast::<T>().ok())
    }

    /// Moves input up. `eof`: the transport has no more.
    pub(super) fn receive(
        &mut self,
        input: &mut Buffer,
        limit: usize,
        eof: bool,
    ) -> Result<Outcome, FilterError> {
        let before = input.len();
        let outcome = self.receive_all(input, limit, eof);
        self.inner_in += input.len().saturating_sub(before) as u64;
        outcome
    }

    fn receive_all(
        &mut self,
        input: &mut Buffer,
        limit: usize,
        eof: bool,
    ) -> Result<Outcome, FilterError> {
        let mut below_ended = eof.then_some(true);
        let mut more = false;
        let count = self.links.len();
        for index in 0..count {
            let (low, high) = self.links.split_at_mut(index + 1);
            let Some(link) = low.last_mut() else { break };
            let to = high.first_mut().map_or(&mut *input, |next| &mut next.below_in);
            if link.ended {
                below_ended = Some(true);
                continue;
            }
            let mode = if below_ended.is_some() && !more { Mode::Finish } else { Mode::Normal };
            let before = to.len();
            let mut verdict = link.filter.receive(&mut link.below_in, to, &Pass { limit, mode })?;
            let is_at_limit = to.len() - before >= limit && !link.below_in.is_empty();
            if verdict == Verdict::Ok && is_at_limit {
                verdict = Verdict::More;
            }
            below_ended = match (verdict, mode) {
                (Verdict::More, _) => {
                    more = true;
                    None
                }
                (Verdict::Ended, _) => {
                    link.ended = true;
                    Some(true)
                }
                (Verdict::Ok, Mode::Finish) => {
                    link.ended = true;
                    Some(below_ended.unwrap_or(true))
                }
                (Verdict::NeedMore, Mode::Finish) => {
                    link.ended = true;
                    Some(false)
                }
                (Verdict::Ok | Verdict::NeedMore, _) => None,
            };
            // An unclean end below is one above, whatever is made of it there.
            if below_ended == Some(false) {
                let unclean = self.finish_above(index + 1, input, limit);
                unclean?;
                return Ok(Outcome::Ended { clean: false });
            }
        }
        Ok(match below_ended {
            Some(clean) => Outcome::Ended { clean },
            None if more => Outcome::More,
            None => Outcome::Done,
        })
    }

    /// What is left goes up through the links from `first` on: nothing follows it.
    fn finish_above(
        &mut self,
        first: usize,
        input: &mut Buffer,
        limit: usize,
    ) -> Result<(), FilterError> {
        for index in first..self.links.len() {
            let (low, high) = self.links.split_at_mut(index + 1);
            let Some(link) = low.last_mut() else { break };
            let to = high.first_mut().map_or(&mut *input, |next| &mut next.below_in);
            while !link.ended {
                let held = link.below_in.len();
                let pass = Pass { limit, mode: Mode::Finish };
                let verdict = link.filter.receive(&mut link.below_in, to, &pass)?;
                // One that gets nowhere is at its end too.
                link.ended = verdict != Verdict::More || link.below_in.len() == held;
            }
        }
        Ok(())
    }

    /// Moves output down, through each filter until `enough` wait below it. With `finish`, the owner
    /// writes no more. Says whether there is more to be had.
    pub(super) fn send(
        &mut self,
        output: &mut Buffer,
        limit: usize,
        enough: usize,
        finish: bool,
    ) -> Result<bool, FilterError> {
        let before = output.len();
        let result = self.send_all(output, limit, enough, finish);
        self.inner_out += before.saturating_sub(output.len()) as u64;
        result
    }

    fn send_all(
        &mut self,
        output: &mut Buffer,
        limit: usize,
        enough: usize,
        finish: bool,
    ) -> Result<bool, FilterError> {
        let mut upper_done = finish;
        let mut more = false;
        for index in (0..self.links.len()).rev() {
            let (low, high) = self.links.split_at_mut(index + 1);
            let Some(link) = low.last_mut() else { break };
            let from = high.first_mut().map_or(&mut *output, |upper| &mut upper.below_out);
            if link.finished {
                upper_done = from.is_empty();
                continue;
            }
            if link.below_out.len() >= enough {
                more = true;
                upper_done = false;
                continue;
            }
            let pass = Pass { limit, mode: Mode::Flush };
            let mut verdict = link.filter.send(from, &mut link.below_out, &pass)?;
            let asks_to_finish = upper_done && from.is_empty() && verdict != Verdict::More;
            if asks_to_finish && link.filter.is_ready() {
                let pass = Pass { limit, mode: Mode::Finish };
                verdict = link.filter.send(from, &mut link.below_out, &pass)?;
                link.finished = verdict != Verdict::More;
            }
            more |= verdict == Verdict::More;
            upper_done = link.finished;
        }
        Ok(more)
    }

    /// Whether the filters have been told that the owner writes no more, and have said their last.
    pub(super) fn is_finished(&self) -> bool {
        self.links.iter().all(|link| link.finished)
    }
}
