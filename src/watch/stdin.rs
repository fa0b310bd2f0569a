//! Standard input as something to watch.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// A descriptor of its own for standard input, unbuffered, to watch and to read.
///
/// `std::io::Stdin` keeps a buffer that the kernel knows nothing of: what has been read into it makes
/// no readiness, so a program that watches stdin must not read through it. This duplicate has no
/// buffer; closing it leaves standard input open.
///
/// ```
/// use evloop::{EvLoop, Interest};
/// use std::io::Read;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ev = EvLoop::new()?;
/// ev.io(evloop::stdin()?, Interest::READ, |ev, e| {
///     let mut bytes = [0; 4096];
///     let mut input = e.source;
///     match input.read(&mut bytes) {
///         Ok(0) => {
///             e.watcher.free(ev); // end of input
///         }
///         Ok(n) => println!("{n} bytes"),
///         Err(error) => ev.fail(error),
///     }
/// })
/// .start(&mut ev)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The system's, if standard input is closed or the descriptor table is full.
///
/// # Sharp edges
///
/// Never set it non-blocking: that belongs to the open file, which is shared with the shell and with
/// whatever else has this terminal. One read per readiness does not block.
pub fn stdin() -> io::Result<File> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}
