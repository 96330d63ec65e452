//! Quiet: the interpreter's panics are answers, and none of them reaches standard error.
//!
//! Responsible for: catching a panic without a report of it. Must never: keep silent about a panic of anything else, in
//! this thread or another.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// Something has panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panicked;

thread_local! {
    /// Whether what runs in this thread may panic.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic. The program's own report of panics stays as it is for everything else: it is asked first whether
/// this thread is in here.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                before(panic);
            }
        }));
    });
    let before = IS_QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_QUIET.set(before);
    result.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_in_here_is_quiet() {
        assert_eq!(quietly(|| IS_QUIET.get()), Ok(true));
        assert_eq!(quietly(|| std::thread::spawn(|| IS_QUIET.get()).join().unwrap()), Ok(false));
        assert_eq!(quietly(|| (quietly(|| 1), IS_QUIET.get())), Ok((Ok(1), true)));
        assert_eq!(quietly(|| panic!("not reported")), Err::<(), _>(Panicked));
        assert!(!IS_QUIET.get(), "also after a panic");
    }
}
