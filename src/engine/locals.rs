//! The loop's own values, one of a type: what modules built on the loop keep in it.

use std::any::{Any, TypeId};
use std::rc::Rc;

use super::EvLoop;

/// Asked for with every verb of a stream, so it must cost next to nothing: there are a handful, and a look at
/// each is less than a hash.
#[derive(Default)]
pub(super) struct Locals(Vec<(TypeId, Rc<dyn Any>)>);

impl Locals {
    #[inline]
    fn get<T: 'static>(&self) -> Option<&T> {
        match self.0.first()?.1.downcast_ref() {
            Some(value) => Some(value),
            None => self.look_for(TypeId::of::<T>())?.downcast_ref(),
        }
    }

    #[inline(never)]
    fn look_for(&self, id: TypeId) -> Option<&Rc<dyn Any>> {
        self.0.iter().find(|(of, _)| *of == id).map(|(_, value)| value)
    }

    /// The one that was asked for last is in front: mostly it is asked for again.
    #[inline]
    fn find<T: 'static>(&mut self) -> Option<Rc<T>> {
        let id = TypeId::of::<T>();
        match self.0.first() {
            Some((of, value)) if *of == id => Rc::clone(value).downcast().ok(),
            _ => self.fetch(id)?.downcast().ok(),
        }
    }

    #[inline(never)]
    fn fetch(&mut self, id: TypeId) -> Option<Rc<dyn Any>> {
        let at = self.0.iter().position(|(of, _)| *of == id)?;
        self.0.swap(0, at);
        self.0.first().map(|(_, value)| Rc::clone(value))
    }
}

impl EvLoop {
    /// The loop's own value of a type: made with `Default` at the first call, the same one at every
    /// later call, dropped with the loop.
    ///
    /// For modules built on the loop that need one of something per loop, without a global and
    /// without asking their users to carry it.
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// #[derive(Default)]
    /// struct RequestsSeen(Cell<u64>);
    ///
    /// let mut ev = evloop::EvLoop::new()?;
    /// let seen = ev.local::<RequestsSeen>();
    /// seen.0.set(seen.0.get() + 1);
    /// assert_eq!(ev.local::<RequestsSeen>().0.get(), 1);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[inline]
    pub fn local<T: Default + 'static>(&mut self) -> Rc<T> {
        match self.locals.find::<T>() {
            Some(value) => value,
            None => self.make_local(),
        }
    }

    #[cold]
    #[inline(never)]
    fn make_local<T: Default + 'static>(&mut self) -> Rc<T> {
        let value = Rc::new(T::default());
        self.locals.0.push((TypeId::of::<T>(), Rc::clone(&value) as Rc<dyn Any>));
        value
    }

    /// The loop's own value of a type, if [`local`](Self::local) has made it: for questions, which need
    /// no loop that can be changed.
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// let mut ev = evloop::EvLoop::new()?;
    /// assert!(ev.local_if_made::<Cell<u64>>().is_none());
    /// ev.local::<Cell<u64>>().set(7);
    /// assert_eq!(ev.local_if_made::<Cell<u64>>().map(Cell::get), Some(7));
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[must_use]
    pub fn local_if_made<T: 'static>(&self) -> Option<&T> {
        self.locals.get()
    }
}
