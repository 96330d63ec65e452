//! Shutdown: SIGTERM or Ctrl-C, told to all who must stop.
//!
//! Responsible for: one signal handler in the process. Must never: end the process itself.

use tokio::sync::watch;

/// A receiver that turns true at SIGTERM or Ctrl-C.
pub fn on_signal() -> std::io::Result<watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        // The receivers may live longer than the first signal.
        std::future::pending::<()>().await;
    });
    Ok(receiver)
}
