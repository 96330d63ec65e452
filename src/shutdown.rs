//! Shutdown: Ctrl-C, Ctrl-\, SIGTERM or a closed terminal, told to all who must stop.
//!
//! Responsible for: one handler of signals in the process. Must never: end the process itself.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The signals that have come and ask for an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Number of the first: 2 for Ctrl-C, 3 for Ctrl-\, 15 for SIGTERM, 1 for a closed terminal. Zero if none has come.
    pub first: u8,
    /// How many have come.
    pub count: usize,
}

impl Signals {
    /// Waits until so many have come; for ever if no more can come.
    pub async fn wait_for(mut signals: watch::Receiver<Self>, count: usize) -> Self {
        let come = signals.wait_for(|signals| signals.count >= count).await.map(|signals| *signals);
        match come {
            Ok(signals) => signals,
            Err(_) => std::future::pending().await,
        }
    }
}

/// A receiver that turns true at the first signal.
pub fn on_signal() -> std::io::Result<watch::Receiver<bool>> {
    let signals = signals()?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        Signals::wait_for(signals, 1).await;
        sender.send_replace(true);
        // The receivers may live longer than the first signal.
        std::future::pending::<()>().await;
    });
    Ok(receiver)
}

/// A receiver that counts the signals.
pub fn signals() -> std::io::Result<watch::Receiver<Signals>> {
    let (sender, receiver) = watch::channel(Signals::default());
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut quit = handler(SignalKind::quit())?;
    let mut hang_up = handler(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let kind = tokio::select! {
                () = next(&mut terminate) => SignalKind::terminate(),
                () = next(&mut interrupt) => SignalKind::interrupt(),
                () = next(&mut quit) => SignalKind::quit(),
                () = next(&mut hang_up) => SignalKind::hangup(),
            };
            sender.send_modify(|signals| {
                if signals.count == 0 {
                    signals.first = u8::try_from(kind.as_raw_value()).unwrap_or_default();
                }
                signals.count += 1;
            });
        }
    });
    Ok(receiver)
}

/// A handler, unless who started us wants the signal ignored: `nohup`, or a shell that runs us in the background.
fn handler(kind: SignalKind) -> std::io::Result<Option<Signal>> {
    if is_ignored(kind) { Ok(None) } else { signal(kind).map(Some) }
}

async fn next(handler: &mut Option<Signal>) {
    if let Some(handler) = handler
        && handler.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Whether the process began with this signal ignored. Only Linux tells; elsewhere none is.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    // Bit 0 is signal 1.
    let bit = u32::try_from(kind.as_raw_value() - 1).ok();
    bit.and_then(|bit| mask.checked_shr(bit)).is_some_and(|shifted| shifted & 1 == 1)
}
